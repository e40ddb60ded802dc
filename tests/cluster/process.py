"""One server process of the tests: start, stop, kill, pause, resume. Other processes can do this too, by its folder."""

import http.client
import os
import pathlib
import signal
import subprocess
import time

START_SECONDS = 60  # only ends a start that hangs
STOP_SECONDS = 20  # after that it is killed


def until(what, check, seconds=60, pause=0.03):
    """Polls until the check succeeds, and returns its result. The limit only ends a test that hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := check():
            return result
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s: {what}")


def http_get(port, path, seconds=2):
    """Status and body. None if there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


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
        """With SIGKILL."""
        if self.pid():
            self.signal(signal.SIGKILL)
            until(f"{self.name} is dead", lambda: self.pid() is None)

    def pause(self):
        """With SIGSTOP: its connections stay open, and it says nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

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
