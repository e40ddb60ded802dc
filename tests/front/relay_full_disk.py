"""The relay on a full disk. With "answer" the bot still answers, and the coverage has a gap afterwards. With "refuse"
nothing reaches the bot. The disk is a tmpfs of a few MiB. Mounting it needs root.  relay_full_disk.py BINARY"""

import os
import subprocess
import sys
import time

from callbacks import Account, message
from cases import case, run
from outcome import send
from program import until
from script import Script


class FullDisk:
    """The data folder of the program. It can be filled to the last block."""

    def __init__(self, folder):
        self.data, self.ballast = folder, folder / "ballast"
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True)
        if mounted.returncode:
            raise AssertionError(f"a tmpfs cannot be mounted here: {mounted.stderr}")

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass
        assert os.statvfs(self.data).f_bavail == 0

    def close(self):
        subprocess.run(["umount", "-l", self.data], check=False)


def beside(scene, policy):
    disk = scene.started(FullDisk(scene.folder / "small"))
    target = scene.started(Script(lambda exchange: exchange.answer(b"from the bot")))
    account = Account()
    config = account.toml({"url": target.url, "when_not_durable": policy})
    program = scene.msgcube(config, "--data-dir", disk.data / "data")
    send(program, account, b"from the bot")
    return disk, target, account, program


@case
def a_full_disk_lets_the_bot_answer_and_leaves_a_gap(scene):
    disk, target, account, program = beside(scene, "answer")
    disk.fill()
    # existing files may still have a little room
    sent = 1
    while "degraded" not in program.ready()[1]:
        send(program, account, b"from the bot", why=f"callback {sent}")
        sent += 1
        assert sent < 20_000, "a full disk was never noticed"
    full_since = time.time()
    status, ready = program.ready()
    assert status == 200 and any("space" in reason.lower() for reason in ready["degraded"]), (status, ready)
    lost = [message(user=f"lost{number}") for number in range(5)]
    for xml in lost:
        send(program, account, b"from the bot", xml)
    assert len(target.exchanges) == sent + len(lost)
    full_until = time.time()
    disk.ballast.unlink()
    until("no longer degraded", lambda: "degraded" not in program.ready()[1])
    counted = program.counted(account.appid)["text"]
    assert sent - 1 <= counted <= sent + len(lost), (counted, sent)
    gaps = program.gaps(account.appid)
    assert any(begin <= full_since + 1 and end >= full_until - 1 for begin, end in gaps), (full_since, full_until, gaps)
    for xml in lost:
        send(program, account, b"from the bot", xml)
    assert program.counted(account.appid)["text"] >= counted
    program.stop()
    program.start("--data-dir", disk.data / "data")
    assert any(begin <= full_since + 1 and end >= full_until - 1 for begin, end in program.gaps(account.appid)), "after a restart"


@case
def a_full_disk_refuses_callbacks_if_configured(scene):
    disk, target, account, program = beside(scene, "refuse")
    disk.fill()
    acknowledged = 1
    while account.post(program, account.safe(message(user=f"o{acknowledged}"))) is not None:
        acknowledged += 1
        assert acknowledged < 20_000, "a full disk was never noticed"
    for _ in range(3):
        send(program, account, None)
    assert len(target.exchanges) == acknowledged, "what is not durable is not passed on"
    status, ready = program.ready()
    assert status == 503 and "degraded" not in ready, (status, ready)
    disk.ballast.unlink()
    until("ready again", lambda: program.ready()[0] == 200)
    counted = program.counted(account.appid)["text"]
    assert acknowledged <= counted <= acknowledged + 4, (acknowledged, counted)


if os.geteuid() != 0:
    print("THE RELAY ON A FULL DISK IS NOT TESTED: mounting a tmpfs needs root", file=sys.stderr)
    sys.exit(77)
run()
