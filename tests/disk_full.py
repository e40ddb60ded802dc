"""Fills the disk of the program. While it is full nothing is acknowledged, and /readyz says why. When there is room again, the
program recovers by itself, the gap is recorded, and every acknowledged message counts exactly once. The disk is filled once
for the log and once while the pages are saved.  disk_full.py BINARY FOLDER log|pages"""

import atexit
import hashlib
import http.client
import itertools
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
    """The running program."""

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
        """Status and text. None if there was no answer."""
        connection = http.client.HTTPConnection(self.address, timeout=120)
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

    def is_ready(self):
        return (self.ask("GET", "/readyz", key=False) or (0,))[0] == 200

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0, self.process.returncode


def lines(prefix, count, first=1, spread=False):
    """Messages of now, or of the last two days."""
    now = int(time.time())
    return [
        {"FromUserName": f"{prefix}{first if spread else 0}-{number}", "MsgId": first + number, "MsgType": "text",
         "CreateTime": now - (number * 3 if spread else 0)}
        for number in range(count)
    ]


def until(what, check, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := check():
            return result
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")


def fill(ballast, data, leave=0):
    """Fills the disk. Leaves no block free, or about `leave` bytes."""
    with open(ballast, "ab", buffering=0) as file:
        if leave:
            free = os.statvfs(data)
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - leave)
            return
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    assert os.statvfs(data).f_bavail == 0, os.statvfs(data)


def send_until_refused(program, acknowledged):
    """Sends until a callback gets no answer. Existing files may still have a little room."""
    for number in range(50_000):
        answer = program.callback(f"full{number}", 10_000_000 + number)
        if answer is None:
            return
        assert answer == (200, "success"), answer
        acknowledged.append(number)
    raise AssertionError("a full disk was never noticed")


def log_runs_out(binary, work):
    data, ballast = work / "data", work / "data" / "ballast"
    program = Program(binary, work)
    until("ready at first", program.is_ready)
    assert program.callback("before", 1) == (200, "success")
    status, text = program.bulk(lines("bulk", 500))
    assert (status, json.loads(text)["accepted"]) == (200, 500), text

    fill(ballast, data)
    full_since = time.time()
    acknowledged = []
    send_until_refused(program, acknowledged)
    print(f"{len(acknowledged)} callbacks fitted, then none was acknowledged")
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
    until("ready again by itself", program.is_ready)
    assert program.callback("after", 2) == (200, "success")
    counted = check(program, acknowledged, refused, (full_since, full_until))
    program.stop()

    program = Program(binary, work)
    until("ready after a restart", program.is_ready)
    assert program.texts() == counted, "the same after a restart"
    check_gap(program, full_since, full_until)
    program.stop()


def check(program, acknowledged, refused, full):
    """Acknowledged messages count once. The others count once after they are sent again."""
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
    """Checks that a gap covers the time at which the disk was full."""
    gaps = program.stats()["coverage"]["gaps"]
    moments = [[datetime.fromisoformat(end).timestamp() for end in gap[:2]] for gap in gaps]
    assert any(begin <= until_moment + 1 and end >= until_moment - 1 for begin, end in moments), (since, until_moment, gaps)


def disk_use(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def pages_run_out(binary, work):
    """Pages are saved while messages arrive. Before one of these saves the disk gets nearly full."""
    data, ballast = work / "data", work / "data" / "ballast"
    program = Program(binary, work)
    until("ready at first", program.is_ready)
    batches = itertools.count()

    def batch():
        return lines("page", 50_000, 1 + next(batches) * 50_000, spread=True)

    durable, sent = 0, []
    for _ in range(10):
        status, text = program.bulk(batch())
        assert (status, json.loads(text)["accepted"]) == (200, 50_000), text[:300]
        durable += 50_000
    fill(ballast, data, leave=16 << 20)
    while not sent:
        body = batch()
        status, text = program.bulk(body)
        if status == 503:
            sent = body
        else:
            durable += 50_000
    print(f"{durable} messages were durable before the disk was full")
    log = (work / "log").read_text()
    # Whether the log or a save of pages meets the full disk first depends on when the save begins.
    time.sleep(5)
    saving_failed = "pages cannot be saved" in (work / "log").read_text()
    print("a save of pages failed" if saving_failed else "the log was full before the next save of pages")
    assert program.callback("refused", 1) is None or program.is_ready(), log[-2000:]
    counted = program.texts()
    assert durable <= counted <= durable + len(sent) + 2, (durable, counted)
    program.process.kill()
    program.process.wait()
    program = restarted_on_a_full_disk(binary, work)
    ballast.unlink()
    program = program or Program(binary, work)
    until("ready again", program.is_ready)
    until("the pages are saved after all", lambda: disk_use(data / "log") < 16 << 20)
    assert durable <= program.texts() <= durable + len(sent) + 2, (durable, program.texts())
    status, text = program.bulk(sent)
    assert status == 200, text[:300]
    counted = program.texts()
    # the two unanswered callbacks may have been counted
    assert 0 <= counted - durable - len(sent) <= 2, (counted, durable, len(sent))
    program.stop()
    program = Program(binary, work)
    until("ready after a graceful end", program.is_ready)
    assert program.texts() == counted, (program.texts(), counted)
    assert disk_use(data / "log") < 8 << 20, "the pages were saved at the end, so the log is short"
    program.stop()


def restarted_on_a_full_disk(binary, work):
    """The program may refuse to start and say why, or start and take no messages. It must not lose any data."""
    fill(work / "data" / "ballast", work / "data")
    try:
        program = Program(binary, work)
    except AssertionError as error:
        assert "No space left" in str(error), error
        print("restarted on the full disk: it did not start, and said why")
        return None
    assert program.callback("restarted", 2) is None
    print("restarted on the full disk: it started, and took no messages")
    return program


{"log": log_runs_out, "pages": pages_run_out}[sys.argv[3]](sys.argv[1], pathlib.Path(sys.argv[2]))
print(f"full disk, {sys.argv[3]}: nothing acknowledged, said why, recovered, everything counted once")
