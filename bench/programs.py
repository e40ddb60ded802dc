"""The measured programs and the load generator, for all benchmarks."""

import atexit
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
APPID, TOKEN, SECRET, ADMIN_KEY = "wxbench0000000001", "benchToken", "bench-secret", "bench-admin-key"


def say(text):
    print(text, file=sys.stderr, flush=True)


def account(more=""):
    """The configuration of the account."""
    return f'[[account]]\nappid = "{APPID}"\nsecret = "{SECRET}"\ntoken = "{TOKEN}"\n{more}'


def machine():
    cpu = pathlib.Path("/proc/cpuinfo").read_text().split("model name", 1)[-1].split("\n")[0].strip("\t: ")
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}, {datetime.now(CHINA).date()}"


class Server:
    """A program under load: msgcube on a folder, or the no-op program."""

    def __init__(self, command, log):
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.pid = self.process.pid
        atexit.register(self.process.kill)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on http://"):
            raise SystemExit(f"{command[0]} did not start: {line!r}")
        self.address = line.split("http://")[1].strip()

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return answer.read()

    def claim(self, begin):
        """Claims coverage from this day on, so that answers need no hint about gaps."""
        path = f"/v1/accounts/{APPID}/messages?covers={begin}..{datetime.now(CHINA).date()}"
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        request = urllib.request.Request(f"http://{self.address}{path}", data=b"", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def ready(self):
        """Seconds from the start until the program takes messages."""
        while True:
            try:
                self.get("/readyz")
                return time.monotonic() - self.started
            except urllib.error.HTTPError:
                time.sleep(0.01)

    def memory_mib(self, which="VmRSS"):
        """Resident memory now, or at most so far (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith(which))
        return int(kib) / 1024

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()


class Programs:
    """Where the programs are, and the folder they run in."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.log = open(folder / "log", "ab")

    def msgcube(self, name, config):
        file = self.folder / f"{name}.toml"
        file.write_text(f'listen = "127.0.0.1:0"\ndata_dir = "{self.folder / name}"\nadmin_key = "{ADMIN_KEY}"\n\n{config}')
        return Server([self.programs / "msgcube", "serve", "--config", file], self.log)

    def noop(self):
        return Server([self.programs / "noop"], self.log)

    def load(self, server, mode, *options):
        command = [self.programs / "load", mode, "--addr", server.address, "--appid", APPID]
        command += ["--pid", str(server.pid), *map(str, options)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            ended = "it still runs" if server.process.poll() is None else f"it ended with {server.process.returncode}"
            log = (self.folder / "log").read_text()[-2000:]
            raise SystemExit(f"load {mode} at {server.process.args[0]}, {ended}: {done.stderr}{log}")
        report = json.loads(done.stdout)
        if report["errors"]:
            say(f"  {mode}: {report['errors']} errors")
        return report
