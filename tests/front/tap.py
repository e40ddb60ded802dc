"""The recipes of docs/tap.md: nginx copies callbacks to msgcube beside a bot of wechatpy, and a script sends messages that a
bot stores in a file. The bot never notices msgcube.  tap.py BINARY"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from callbacks import Account, message
from cases import case, run
from program import ADMIN_KEY, ask, until

HERE = pathlib.Path(__file__).parent
PAGES = [HERE.parents[1] / "docs" / name for name in ("tap.md", "tap.zh.md")]
# A slow machine alone stays below this. More means that nginx waits for msgcube.
WAITED_S = 10
HOUR = int(time.time()) // 3600 * 3600


def blocks(page, language):
    """The code blocks without comments, which differ between the languages."""
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [re.sub(r"(^|\s)# .*", "", block) for block in found]


@case
def both_pages_have_the_same_recipes(_scene):
    for language in ("nginx", "sh"):
        assert blocks(PAGES[0], language) == blocks(PAGES[1], language) != [], language


class Nginx:
    """nginx with the configuration of the page, on the addresses of this case."""

    def __init__(self, folder, bot, msgcube, appid):
        # nginx inherits this socket, so no other program can take the port before
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        (server,) = blocks(PAGES[0], "nginx")
        for written, here in (
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("127.0.0.1:9000", bot),
            ("127.0.0.1:8060", msgcube),
            ("wx0123456789abcdef", appid),
        ):
            assert server.count(written) == 1, (written, server)
            server = server.replace(written, here)
        places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\n{places}{server}}}\n"
        )
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        # its own process group: a killed master does not end the worker
        self.process = subprocess.Popen(
            [nginx, "-p", folder, "-c", config],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self.socket.fileno()],
            env={**os.environ, "NGINX": f"{self.socket.fileno()};"},
        )
        self.address = f"127.0.0.1:{self.port}"
        until("nginx listens", self._listens)

    def _listens(self):
        assert self.process.poll() is None, self.process.stderr.read().decode()
        return ask(self.address, "GET", "/none") is not None

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.socket.close()


class Bot:
    def __init__(self, account):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "bots" / "wechatpy_bot.py", account.token, account.key, account.appid],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self.process.stdout.readline().strip()

    def close(self):
        self.process.kill()


@case
def nginx_copies_to_msgcube_and_the_bot_does_not_notice(scene):
    account = Account(settings={"require_encryption": True})
    bot, program = scene.started(Bot(account)), scene.msgcube(account.toml())
    nginx = scene.started(Nginx(scene.folder, bot.address, program.address, account.appid))

    def send(number, times=1):
        query, body = account.safe(message(user=f"o{number % 3}", text=f"xml {number}"))
        for _ in range(times):
            answer = ask(nginx.address, "POST", f"/wechat?{query}", body, {"Content-Type": "text/xml"})
            assert answer is not None and answer.status == 200 and b"<Encrypt>" in answer.body, answer
            assert answer.seconds < WAITED_S, f"the bot's answer took {answer.seconds:.1f} s"

    for number in range(50):
        send(number, times=2 if number % 5 == 0 else 1)
    until("all copies count, repeats once", lambda: program.counted(account.appid) == {"text": 50})
    refused = ask(nginx.address, "POST", "/wechat?signature=x&timestamp=1&nonce=2", b"<xml/>")
    assert refused.status == 403, "the bot's answer to a wrong signature comes back, too"
    assert ask(nginx.address, "POST", "/copy-for-msgcube?x=1", b"x").status == 404, "other clients cannot reach it through nginx"

    program.process.send_signal(signal.SIGSTOP)
    for number in range(50, 55):
        send(number)
    program.process.send_signal(signal.SIGCONT)
    program.kill()
    died = time.time()
    for number in range(55, 60):
        send(number)
    time.sleep(1.5)
    address = program.address.split(":")[1]
    program.start("--listen", f"127.0.0.1:{address}")
    back = time.time()
    for number in range(60, 70):
        send(number)
    until("it counts again", lambda: program.counted(account.appid)["text"] >= 60)
    # the five sent while msgcube was dead are missing; those sent while it was stopped may have waited
    assert 60 <= program.counted(account.appid)["text"] <= 65, program.counted(account.appid)
    until(
        "the time it was dead is a gap",
        lambda: any(begin <= died + 1 and end >= back - 2 for begin, end in program.gaps(account.appid)),
    )


@case
def a_script_sends_the_messages_that_the_bot_stores(scene):
    account = Account()
    program = scene.msgcube(account.toml())
    one_call, loop = blocks(PAGES[0], "sh")
    spool = scene.folder / "spool"
    spool.mkdir()
    environment = {
        **os.environ,
        "MSGCUBE": f"http://{program.address}",
        "ADMIN_KEY": ADMIN_KEY,
        "APPID": account.appid,
        "SPOOL": str(spool),
    }
    once = subprocess.run(["sh", "-ec", one_call], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert once.returncode == 0 and json.loads(once.stdout)["accepted"] == 2, once

    script = subprocess.Popen(["sh", "-c", loop], env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        keep(spool, range(0, 100))
        until("the first are there", lambda: program.counted(account.appid).get("text") == 100)
        program.kill()
        keep(spool, range(50, 200))
        time.sleep(2.5)
        keep(spool, range(200, 300))
        program.start("--listen", program.address)
        until("all are there, each once", lambda: program.counted(account.appid) == {"text": 300})
        until("nothing is left to send", lambda: not list(spool.glob("*.ndjson")))
    finally:
        os.killpg(script.pid, signal.SIGKILL)
        script.wait()


def keep(spool, numbers):
    """Stores messages one by one, as the bot does."""
    for number in numbers:
        line = {
            "FromUserName": f"o{number}",
            "CreateTime": HOUR,
            "MsgType": "text",
            "MsgId": 1 + number,
        }
        with open(spool / "new.ndjson", "a") as file:
            file.write(json.dumps(line) + "\n")


run()
