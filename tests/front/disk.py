"""A disk that can become slow or fail while the program runs. Its syncs go through slow_sync.c."""

import pathlib
import subprocess
import tempfile
import threading

HERE = pathlib.Path(__file__).parent
_built = tempfile.TemporaryDirectory()
_building = threading.Lock()


def _library():
    library = pathlib.Path(_built.name) / "slow_sync.so"
    with _building:
        if not library.exists():
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "slow_sync.c", "-ldl"], check=True)
    return library


class Disk:
    """`environment` is for the start of the program."""

    def __init__(self, folder):
        self.file = folder / "slow_sync"
        self.environment = {"LD_PRELOAD": str(_library()), "SLOW_SYNC_FILE": str(self.file)}
        self.syncs_take(0)

    def syncs_take(self, seconds):
        """Sets the time of each sync, also of syncs that already wait."""
        self._write(str(seconds))

    def syncs_fail(self):
        self._write("fail")

    def _write(self, text):
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)
