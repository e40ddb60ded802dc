"""One server process of the tests: start, stop, kill, pause, resume. Other processes can do this too, by its folder."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "front"))
from program import ask, until  # noqa: E402

START_SECONDS = 60  # only ends a start that hangs
STOP_SECONDS = 20  # after that it is killed


class CannotRun(Exception):
    """What is missing, and the remedy."""


def http_get(port, path):
    """Status and body. None if there is no answer."""
    try:
        answer = ask(f"127.0.0.1:{port}", "GET", path, timeout=2)
    except OSError:
        return None
    return answer and (answer.status, answer.body.decode(errors="replace"))


def family(pid):
    """The process and its children."""
    members = [pid]
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and _stat(entry)[1:2] == [str(pid)]:
            members.append(int(entry.name))
    return members


def _stat(folder):
    """State, parent and more of a process or a thread. Empty if it ended."""
    try:
        return (folder / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def is_running(pid):
    """A dead process that nobody waited for does not run."""
    return _stat(pathlib.Path(f"/proc/{pid}"))[:1] not in ([], ["Z"])


def _is_stopped(pid):
    """All threads. The system stops them one after the other. An ended process also counts."""
    return all(_stat(thread)[:1] in (["T"], ["Z"], []) for thread in pathlib.Path(f"/proc/{pid}/task").glob("*"))


def _send(pid, number):
    """Also if it has ended in the meantime."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Server:
    """A kind of server has `prepare`, `command` and `ready`. Its folder holds its configuration, data, output and pid."""

    user = None  # who runs it; None: who runs the test
    stop_signal = signal.SIGTERM

    def __init__(self, name, folder):
        self.name, self.folder = name, pathlib.Path(folder)
        self.process = None

    def prepare(self):
        """Makes all that is needed before the first start."""

    def command(self):
        raise NotImplementedError

    def ready(self):
        raise NotImplementedError

    def pid(self):
        """None if it does not run."""
        if self.process is not None:
            return self.process.pid if self.process.poll() is None else None
        try:
            pid = int((self.folder / "pid").read_text())
            arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.folder).encode() in arguments else None

    def launch(self):
        """Starts it and does not wait until it is ready."""
        if self.pid():
            return
        with open(self.folder / "out", "ab") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, start_new_session=True,
                user=self.user, group=self.user, extra_groups=[] if self.user else None,
            )
        (self.folder / "pid").write_text(str(self.process.pid))

    def wait_ready(self):
        def check():
            if self.pid() is None:
                raise AssertionError(f"{self.name} ended while it started:\n{self.last_words()}")
            return self.ready()

        until(f"{self.name} is ready", check, START_SECONDS)

    def start(self):
        self.launch()
        self.wait_ready()

    def signal(self, number):
        pid = self.pid()
        assert pid, f"{self.name} does not run"
        os.kill(pid, number)

    def stop(self):
        """Ends it as an operator would."""
        if self.pid():
            self.signal(self.stop_signal)
            try:
                until(f"{self.name} ended", lambda: self.pid() is None, STOP_SECONDS)
            except AssertionError:
                self.kill()

    def kill(self):
        """With SIGKILL, and its children with it, as if the machine lost power."""
        pid = self.pid()
        if pid:
            self.signal(signal.SIGSTOP)  # so that it starts no more children
            until(f"{self.name} is stopped", lambda: _is_stopped(pid))
            members = family(pid)
            for member in members:
                _send(member, signal.SIGKILL)
            until(f"{self.name} is dead", lambda: self.pid() is None and not any(map(is_running, members)))

    def pause(self):
        """With SIGSTOP, and its children with it: its connections stay open, and it says nothing."""
        pid = self.pid()
        assert pid, f"{self.name} does not run"
        self.signal(signal.SIGSTOP)
        until(f"{self.name} is stopped", lambda: _is_stopped(pid))
        for member in family(pid)[1:]:
            _send(member, signal.SIGSTOP)
            until(f"process {member} of {self.name} is stopped", lambda: _is_stopped(member))

    def resume(self):
        pid = self.pid()
        assert pid, f"{self.name} does not run"
        for member in reversed(family(pid)):
            _send(member, signal.SIGCONT)

    def close(self):
        """At the end of a test, when nothing of it is needed any more."""
        self.kill()

    def state(self):
        if not self.pid():
            return "down"
        return "ready" if self.ready() else "starting or stuck"

    def last_words(self):
        try:
            return (self.folder / "out").read_text(errors="replace")[-2000:]
        except OSError:
            return ""
