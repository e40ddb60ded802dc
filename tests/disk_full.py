"""Fills the disk under the program: nothing is acknowledged while it is full, /readyz says why, and when there is room it
recovers by itself, with the gap recorded and everything that was acknowledged counted exactly once."""

import atexit
import hashlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

APPID, TOKEN, ADMIN_KEY = "wxdiskfull0000001", "diskFullToken", "disk-full-admin-key"
CHINA = timezone(timedelta(hours=8))


class Program:
    """The running program, and what it acknowledged."""

    def __init__(self, binary, work):
        self.config = work / "msgcube.toml"
        self.config.write_text(
            f'listen = "127.0.0.1:0"\ndata_dir = "{work / "data"}"\nadmin_key = "{ADMIN_KEY}"\n\n'
            f'[[account]]\nappid = "{APPID}"\nsecret = "secret"\ntoken = "{TOKEN}"\n'
        )
        self.log = open(work / "log", "ab")
        self.process = subprocess.Popen(
            [binary, "serve", "--config", self.config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log
        )
        atexit.register(self.process.kill)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on http://"), (line, (work / "log").read_text()[-2000:])
        self.address = line.split("http://")[1].strip()

    def ask(self, method, path, body=None, key=True):
        """Status and text; no answer at all gives None."""
        connection = http.client.HTTPConnection(self.address, timeout=15)
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"} if key else {"Content-Type": "text/xml"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (http.client.HTTPException, ConnectionError):
            return None
        finally:
            connection.close()

    def callback(self, user, msg_id):
        now = str(int(time.time()))
        signature = hashlib.sha1("".join(sorted([TOKEN, now, "nonce"])).encode()).hexdigest()
        body = (
            f"<xml><ToUserName>gh</ToUserName><FromUserName>{user}</FromUserName><CreateTime>{now}</CreateTime>"
            f"<MsgType>text</MsgType><Content>x</Content><MsgId>{msg_id}</MsgId></xml>"
        )
        return self.ask("POST", f"/callback/{APPID}?signature={signature}&timestamp={now}&nonce=nonce", body, key=False)

    def bulk(self, lines):
        return self.ask("POST", f"/v1/accounts/{APPID}/messages", "".join(json.dumps(line) + "\n" for line in lines))

    def stats(self):
        day = datetime.now(CHINA).date()
        begin, end = day - timedelta(days=3), day + timedelta(days=1)
        status, text = self.ask("GET", f"/v1/accounts/{APPID}/stats?from={begin}&to={end}&period=total&by=type")
        assert status == 200, text
        return json.loads(text)

    def texts(self):
        return next((row["messages"] for row in self.stats()["rows"] if row["type"] == "text"), 0)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.process.returncode


def lines(prefix, count, first=1):
    now = int(time.time())
    kept = {"MsgType": "text", "CreateTime": now}
    return [{"FromUserName": f"{prefix}{number}", "MsgId": first + number, **kept} for number in range(count)]


def until(what, check, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := check():
            return result
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")


def fill(ballast, data):
    """Leaves no block free."""
    with open(ballast, "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    assert os.statvfs(data).f_bavail == 0, os.statvfs(data)


def send_until_refused(program, acknowledged):
    """Room inside files already made may still take a little; then a callback must stay without an answer."""
    for number in range(50_000):
        answer = program.callback(f"full{number}", 10_000_000 + number)
        if answer is None:
            return
        assert answer == (200, "success"), answer
        acknowledged.append(number)
    raise AssertionError("a full disk was never noticed")


def main(binary, work):
    data, ballast = work / "data", work / "data" / "ballast"
    program = Program(binary, work)
    until("ready at first", lambda: (program.ask("GET", "/readyz", key=False) or (0,))[0] == 200)
    assert program.callback("before", 1) == (200, "success")
    status, text = program.bulk(lines("bulk", 500))
    assert (status, json.loads(text)["accepted"]) == (200, 500), text

    fill(ballast, data)
    full_since = time.time()
    acknowledged = []
    send_until_refused(program, acknowledged)
    print(f"{len(acknowledged)} callbacks still fitted, then none was acknowledged")
    for number in range(5):
        assert program.callback(f"refused{number}", 20_000_000 + number) is None
    refused = lines("big", 60_000, 30_000_000)
    status, text = program.bulk(refused)
    assert status == 503 and "durable_lines" in json.loads(text), (status, text[:300])
    status, text = program.ask("GET", "/readyz", key=False)
    assert status == 503 and len(text) > 10, (status, text)
    print(f"/readyz: {text.strip()}")
    assert program.ask("GET", "/healthz", key=False)[0] == 200

    full_until = time.time()
    ballast.unlink()
    until("ready again by itself", lambda: (program.ask("GET", "/readyz", key=False) or (0,))[0] == 200)
    assert program.callback("after", 2) == (200, "success")
    counted = check(program, acknowledged, refused, (full_since, full_until))
    program.stop()

    program = Program(binary, work)
    until("ready after a restart", lambda: (program.ask("GET", "/readyz", key=False) or (0,))[0] == 200)
    assert program.texts() == counted, "the same after a restart"
    check_gap(program, full_since, full_until)
    program.stop()


def check(program, acknowledged, refused, full):
    """What was acknowledged counts once; what was not counts once as soon as it is sent again."""
    check_gap(program, *full)
    least = 2 + 500 + len(acknowledged)
    most = least + 6 + len(refused)
    assert least <= program.texts() <= most, (least, program.texts(), most)
    status, text = program.bulk(lines("bulk", 500))
    status, text = program.bulk(refused)
    answer = json.loads(text)
    assert status == 200 and answer["accepted"] + answer["duplicate"] == len(refused), text
    counted = program.texts()
    assert least + len(refused) <= counted, (least, len(refused), counted)
    return counted


def check_gap(program, since, until_moment):
    """The moment at which the disk was found full lies in a gap."""
    gaps = program.stats()["coverage"]["gaps"]
    moments = [[datetime.fromisoformat(end).timestamp() for end in gap] for gap in gaps]
    assert any(begin <= until_moment + 1 and end >= until_moment - 1 for begin, end in moments), (since, until_moment, gaps)


main(sys.argv[1], pathlib.Path(sys.argv[2]))
print("full disk: nothing acknowledged, said why, recovered by itself, everything counted once")
