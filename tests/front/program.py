"""The program under test, and the folder of one case. Everything that a case starts ends with it."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import time
from collections import namedtuple
from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))
ADMIN_KEY = "front-test-admin-key"
Answer = namedtuple("Answer", "status type body headers seconds")


def away_from_midnight(seconds=300):
    """Waits for the next day in Beijing if it is near, so that all messages of a case are on one day."""
    left = 86400 - (time.time() + 8 * 3600) % 86400
    if left < seconds:
        time.sleep(left + 1)


def in_a_later_second():
    """Waits for a later second, because gaps are whole seconds."""
    time.sleep(2)


def until(what, check, seconds=120):
    """Polls until the check succeeds. The limit only ends a test that hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := check():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def ask(address, method, target, body=None, headers=(), timeout=120):
    """One request on its own connection. Adds only Host and the length. None if the connection was closed without an answer."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        for name, value in dict(headers).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        return Answer(answer.status, answer.getheader("Content-Type"), content, answer.headers, time.monotonic() - started)
    except http.client.IncompleteRead as cut:
        raise AssertionError(f"an answer that ends too early: {cut}") from cut
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        connection.close()


class Program:
    """msgcube, running with this configuration."""

    def __init__(self, binary, folder, config, options=(), environment=()):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "msgcube.toml").write_text(f'listen = "127.0.0.1:0"\nadmin_key = "{ADMIN_KEY}"\n{config}')
        self.command = [binary, "serve", "--config", folder / "msgcube.toml"]
        self.environment = {**os.environ, **dict(environment)}
        self.start(*options)

    def start(self, *options):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.environment
            )
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on http://"), f"it did not start: {line!r} {self.log()}"
        self.address = line.split("http://")[1].strip()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def ask(self, method, target, body=None, headers=(), timeout=120):
        return ask(self.address, method, target, body, headers, timeout)

    def own(self, method, target, body=None):
        answer = self.ask(method, target, body, {"Authorization": f"Bearer {ADMIN_KEY}"})
        assert answer is not None and answer.status == 200, (method, target, answer)
        return json.loads(answer.body)

    def stats(self, appid, **query):
        """Statistics of the days around today, by type, unless the query says otherwise."""
        day = datetime.now(CHINA).date()
        query = {"from": day - timedelta(days=3), "to": day + timedelta(days=1), "period": "total", "by": "type", **query}
        return self.own("GET", f"/v1/accounts/{appid}/stats?" + "&".join(f"{key}={value}" for key, value in query.items()))

    def counted(self, appid):
        """Messages by type."""
        return {row["type"]: row["messages"] for row in self.stats(appid)["rows"]}

    def gaps(self, appid):
        gaps = self.stats(appid)["coverage"]["gaps"]
        return [[datetime.fromisoformat(moment).timestamp() for moment in gap[:2]] for gap in gaps]

    def aside(self, appid):
        return self.own("GET", f"/v1/accounts/{appid}/aside")["messages"]

    def metrics(self):
        """All samples. The key is the name with its labels as printed."""
        answer = self.ask("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        lines = [line for line in answer.body.decode().splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def ready(self):
        answer = self.ask("GET", "/readyz")
        return answer.status, json.loads(answer.body)

    def memory_mib(self):
        """The peak memory so far, in MiB."""
        return self._status("VmHWM") / 1024

    def threads(self):
        """How many threads it has now."""
        return self._status("Threads")

    def _status(self, name):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(120)
        assert status == 0, f"SIGTERM ended it with status {status}"


class Scene:
    """One case: its folder and its programs."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.programs, self.others = [], []

    def msgcube(self, config, *options, name="msgcube", environment=()):
        """Starts the program in its own folder."""
        folder = self.folder / f"{name}-{len(self.programs)}"
        program = Program(self.binary, folder, config, options, environment)
        self.programs.append(program)
        return program

    def started(self, other):
        """Registers an object with a `close`, to be closed at the end."""
        self.others.append(other)
        return other

    def close(self):
        for program in self.programs:
            if program.process.poll() is None:
                program.kill()
        for other in self.others:
            other.close()

    def last_words(self):
        words = [f"\n{program.folder.name} said last:\n{program.log()[-1500:]}" for program in self.programs]
        return "".join(words + [other.last_words() for other in self.others if hasattr(other, "last_words")])
