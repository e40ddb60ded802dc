"""The relay on slow and failing disks: which callbacks are still answered, and which gaps there are afterwards.
relay_disks.py BINARY"""

import time
from concurrent.futures import ThreadPoolExecutor

from callbacks import Account, message
from cases import case, run
from disk import Disk
from outcome import Nobody, check, never, send
from program import until
from script import Script


def on_disk(scene, relay=None, **settings):
    disk = Disk(scene.folder)
    target = scene.started(Script(lambda exchange: exchange.answer(b"from the bot")))
    account = Account()
    program = scene.msgcube(account.toml({"url": target.url, **(relay or {}), **settings}), environment=disk.environment)
    send(program, account, b"from the bot")
    assert program.ready()[0] == 200
    return disk, target, account, program


@case
def a_bot_still_answers_while_the_disk_hangs(scene):
    disk, target, account, program = on_disk(scene)
    disk.syncs_take(600)
    send(program, account, b"from the bot")
    assert program.counted(account.appid) == {"text": 1}, "it is not durable yet"
    disk.syncs_take(0)
    until("the commit went on beside it", lambda: program.counted(account.appid) == {"text": 2})
    assert not program.gaps(account.appid), f"it became durable, so nothing is missing: {program.gaps(account.appid)}"


@case
def a_slow_disk_delays_answers_that_need_durability(scene):
    disk, target, account, program = on_disk(scene, when_not_durable="refuse")
    disk.syncs_take(600)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(send, program, account, b"from the bot")
        # if the bot could answer without the disk, the answer would come after 1 s
        time.sleep(1.5)
        assert len(target.exchanges) == 1, "what is not durable yet is not passed on"
        disk.syncs_take(0)
        under_way.result()
    disk.syncs_take(600)
    send(program, account, None)
    assert len(target.exchanges) == 2, "what is not durable is not passed on"
    disk.syncs_take(0)
    until("it still becomes durable", lambda: program.counted(account.appid) == {"text": 3})


@case
def success_is_never_answered_for_a_message_that_is_not_durable(scene):
    """The target is down, late with on_late = "success", or hangs up, and the disk hangs."""
    down, late = Account(), Account(appid="wxfront0000000002")
    hangs_up, late_and_kept = Account(appid="wxfront0000000003"), Account(appid="wxfront0000000004")
    slow = scene.started(Script(never))
    rude = scene.started(Script(lambda exchange: (exchange.body(), False)[-1]))
    disk = Disk(scene.folder)
    program = scene.msgcube(
        down.toml(scene.started(Nobody()).url)
        + late.toml({"url": slow.url, "on_late": "success"})
        + hangs_up.toml(rude.url)
        + late_and_kept.toml({"url": slow.url, "on_late": "success", "when_not_durable": "refuse"}),
        environment=disk.environment,
    )
    until("ready", lambda: program.ready()[0] == 200)
    disk.syncs_take(600)
    with ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(send, program, account, None, why=account.appid)
            for account in (down, late, hangs_up, late_and_kept)
        ]
        [each.result() for each in sent]
    disk.syncs_take(0)
    for account in (down, late, hangs_up, late_and_kept):
        until("it counts once durable", lambda: program.counted(account.appid) == {"text": 1})


@case
def refused_content_is_not_answered_with_success(scene):
    """A refused callback is never durable. Without a target nothing can answer it."""
    account = Account()
    program = scene.msgcube(account.toml(scene.started(Nobody()).url))
    answer = account.post(program, account.plain("hello"))
    assert answer is None or answer.body != b"success" and answer.status >= 400, answer
    # a quarantined message is durable
    check(account.post(program, account.plain(message(create_time=1))), b"success")


@case
def a_failing_disk_lets_the_bot_answer_and_leaves_a_gap(scene):
    disk, target, account, program = on_disk(scene)
    disk.syncs_fail()
    began = time.time()
    for _ in range(3):
        send(program, account, b"from the bot")
    status, ready = until("it is degraded", lambda: (lambda found: found if "degraded" in found[1] else None)(program.ready()))
    assert status == 200 and ready["degraded"] and all(isinstance(reason, str) for reason in ready["degraded"]), (status, ready)
    ended = time.time()
    disk.syncs_take(0)
    until("no longer degraded", lambda: "degraded" not in program.ready()[1] and program.ready()[0] == 200)
    send(program, account, b"from the bot")
    assert program.counted(account.appid)["text"] in range(2, 6)
    gaps = program.gaps(account.appid)
    assert any(begin <= began + 1 and end >= ended - 1 for begin, end in gaps), (began, ended, gaps)


@case
def a_failing_disk_refuses_callbacks_if_configured(scene):
    disk, target, account, program = on_disk(scene, when_not_durable="refuse")
    disk.syncs_fail()
    for _ in range(3):
        send(program, account, None)
    assert len(target.exchanges) == 1, "what is not durable is not passed on"
    until("/readyz says so", lambda: program.ready()[0] == 503)
    disk.syncs_take(0)
    until("ready again", lambda: program.ready()[0] == 200)
    send(program, account, b"from the bot")


@case
def one_account_that_needs_the_disk_is_enough_for_503(scene):
    for number, beside in enumerate((None, {"when_not_durable": "refuse"})):
        disk = Disk(scene.folder)
        target = scene.started(Script(lambda exchange: exchange.answer(b"from the bot")))
        answers, needs = Account(), Account(appid="wxfront0000000002")
        relay = {"url": target.url, **beside} if beside else None
        program = scene.msgcube(
            answers.toml(target.url) + needs.toml(relay), name=f"beside{number}", environment=disk.environment
        )
        until("ready", lambda: program.ready()[0] == 200)
        disk.syncs_fail()
        send(program, answers, b"from the bot")
        until("/readyz says so", lambda: program.ready()[0] == 503)
        program.kill()


run()
