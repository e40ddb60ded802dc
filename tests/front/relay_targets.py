"""The relay with targets that are down, late or wrong, and with kills: every outcome that the relay promises.
relay_targets.py BINARY"""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from callbacks import Account, message
from cases import case, run
from http2 import Http2
from outcome import Nobody, check, never, send, wait
from program import in_a_later_second, until
from script import Script


@case
def if_the_target_is_down_success_is_sent_at_the_deadline(scene):
    account = Account()
    program = scene.msgcube(account.toml(scene.started(Nobody()).url))
    send(program, account, b"success")
    assert program.counted(account.appid) == {"text": 1}
    counted = [name for name, value in program.metrics().items() if "unreachable" in name and value]
    assert counted, f"no metric says that the target was unreachable: {program.metrics()}"


@case
def a_target_that_starts_within_the_deadline_gets_the_callback(scene):
    account, nobody = Account(), scene.started(Nobody())
    program = scene.msgcube(account.toml(nobody.url))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(send, program, account, b"at last")
        until("a try failed", lambda: "could not be passed on" in program.log())
        scene.started(Script(lambda exchange: exchange.answer(b"at last"), bound=nobody.socket))
        under_way.result()
    assert program.counted(account.appid) == {"text": 1}


@case
def a_restarted_target_gets_the_next_callback(scene):
    account = Account()
    first = scene.started(Script(lambda exchange: exchange.answer(b"before")))
    program = scene.msgcube(account.toml(first.url))
    for _ in range(3):
        send(program, account, b"before")
    first.close()
    second = until("the port is free again", lambda: _script_on(first.port, b"after"))
    scene.started(second)
    for _ in range(3):
        send(program, account, b"after")
    assert program.counted(account.appid) == {"text": 6}


def _script_on(port, body):
    try:
        return Script(lambda exchange: exchange.answer(body), port)
    except OSError:
        return None


@case
def if_the_target_is_late_the_connection_is_closed_or_success_is_sent(scene):
    """A bot that answers only the third try still can."""
    target = scene.started(Script(never))
    closes, silent = Account(), Account(appid="wxfront0000000002")
    program = scene.msgcube(closes.toml(target.url) + silent.toml({"url": target.url, "on_late": "success"}))
    with ThreadPoolExecutor() as pool:
        sent = [
            pool.submit(send, program, closes, None, why="close"),
            pool.submit(send, program, silent, b"success", why="success"),
        ]
        [each.result() for each in sent]
    for account in (closes, silent):
        assert program.counted(account.appid) == {"text": 1}
    assert len(target.exchanges) == 2, "a target that got it is not sent it again"


@case
def a_bot_that_answers_the_third_try(scene):
    tries = []

    def handle(exchange):
        tries.append(exchange.body())
        never(exchange) if len(tries) < 3 else exchange.answer(b"third time lucky")

    target = scene.started(Script(handle))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    callback = account.safe(message())
    for wanted in (None, None, b"third time lucky"):
        check(account.post(program, callback), wanted)
    assert program.counted(account.appid) == {"text": 1}


@case
def a_callback_in_pieces_is_closed_if_its_target_is_late(scene):
    target = scene.started(Script(never))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    query, body = account.safe(message())
    head = f"POST /callback/{account.appid}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    host, port = program.address.split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        for piece in (head[:20], head[20:], body[:20], body[20:]):
            connection.sendall(piece)
            time.sleep(0.2)
        assert connection.recv(4096) == b""
    assert program.counted(account.appid) == {"text": 1}, "it is durable before the target gets it"
    assert len(target.exchanges) == 1


@case
def each_callback_on_a_kept_connection_has_its_own_deadline(scene):
    """Also after an idle time, and after the blank line that some clients send behind a body."""
    target = scene.started(Script(lambda exchange: exchange.answer(b"from the bot")))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    host, port = program.address.split(":")
    for behind in (b"", b"\r\n"):
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            for number in range(2):
                query, body = account.safe(message())
                head = f"POST /callback/{account.appid}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                came = connection.recv(4096)
                assert came.endswith(b"from the bot"), f"callback {number} with {behind} before it: {came}"
                connection.sendall(behind)
                time.sleep(6 if number == 0 else 0)


@case
def a_callback_that_never_ends_is_closed_at_the_deadline(scene):
    target = scene.started(Script(lambda exchange: exchange.answer()))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    query, body = account.safe(message())
    host, port = program.address.split(":")
    head = f"POST /callback/{account.appid}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"

    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(head.encode() + body[:50])
        assert connection.recv(4096) == b""
    assert not target.exchanges


@case
def an_incomplete_answer_of_the_target_is_never_passed_on_as_complete(scene):
    """Garbage, a truncated answer, no answer, a very slow answer. WeChat gets success, because the message is durable, or no
    answer. It never gets a part as if it were complete."""
    raw = lambda text: lambda exchange: (exchange.body(), exchange.send(text), False)[-1]

    def drip(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
        for _ in range(200):
            time.sleep(0.5)
            exchange.send(b"x")

    def drip_chunks(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            time.sleep(0.5)
            exchange.send(b"1\r\nx\r\n")
        exchange.send(b"0\r\n\r\n")

    targets = {
        "garbage": raw(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        "an endless head": raw(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 300_000),
        "closed unanswered": lambda exchange: (exchange.body(), False)[-1],
        "closed before the body": lambda exchange: False,
        "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-Len"),
        "half a body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"),
        "half the chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        "dripping": drip,
        "dripping chunks": drip_chunks,
    }

    def attempt(number, why, handle):
        target = scene.started(Script(handle))
        account = Account(appid=f"wxfront00000001{number:02}")
        program = scene.msgcube(account.toml(target.url), name=why.replace(" ", "-"))
        is_cut_off = False
        try:
            answer = account.post(program, account.safe(message()))
        except AssertionError:
            # it breaks off inside the body, which WeChat takes for no answer
            answer, is_cut_off = None, True
        assert answer is None or (answer.status, answer.body) == (200, b"success"), (why, answer)
        assert program.counted(account.appid) == {"text": 1}, why
        outcome = "cut off" if is_cut_off else "closed" if answer is None else "success"
        return f"{why}: {outcome}, {len(target.exchanges)} tries"

    with ThreadPoolExecutor(len(targets)) as pool:
        for line in pool.map(lambda item: attempt(item[0], *item[1]), enumerate(targets.items())):
            print(f"       {line}")


@case
def a_huge_answer_needs_no_memory(scene):
    size = 200 << 20

    def huge(exchange):
        exchange.body()
        exchange.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size >> 20):
            exchange.send(b"x" * (1 << 20))

    account = Account()
    target = scene.started(Script(huge))
    program = scene.msgcube(account.toml(target.url))
    try:
        answer = account.post(program, account.safe(message()))
        assert answer is None or len(answer.body) == size or answer.body == b"success", (answer.status, len(answer.body))
        print(f"       a huge answer: {'closed' if answer is None else len(answer.body)}")
    except AssertionError as error:
        assert "ends too early" in str(error), error
        print(f"       a huge answer: {error}")
    assert program.memory_mib() < 100, f"{program.memory_mib():.0f} MiB for an answer of {size >> 20} MiB"
    assert program.counted(account.appid) == {"text": 1}


class Hole:
    """A target that reads everything and never answers."""

    def __init__(self):
        self.taken = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
        self.url = "http://127.0.0.1:{}".format(self.listener.getsockname()[1])
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        try:
            while True:
                self.taken.append(self.listener.accept()[0])
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for connection in self.taken:
            connection.close()


@case
def other_accounts_are_not_affected_while_one_target_hangs(scene):
    """More callbacks hang at one target than may wait for the disk. Other accounts do not notice."""
    hangs = Account()
    free, lively = Account(appid="wxfront0000000002"), Account(appid="wxfront0000000003")
    hole = scene.started(Hole())
    alive = scene.started(Script(lambda exchange: exchange.answer(b"alive")))
    program = scene.msgcube(hangs.toml(hole.url) + free.toml() + lively.toml(alive.url))
    host, port = program.address.split(":")
    query, body = hangs.plain(message())
    head = f"POST /callback/{hangs.appid}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connections = [socket.create_connection((host, int(port)), timeout=120) for _ in range(4300)]
    for connection in connections:
        connection.sendall(head + body)
    most = until("they hang", lambda: len(hole.taken) > 1000 and len(hole.taken))
    send(program, free, b"success", why="an account without a relay")
    send(program, lively, b"alive", why=f"an account with another target, while {most} hang")
    for connection in connections:
        connection.close()


@case
def on_http_2_only_the_late_stream_is_reset(scene):
    slow = scene.started(Script(never))
    quick = scene.started(Script(lambda exchange: exchange.answer(b"from the bot")))
    late, prompt = Account(), Account(appid="wxfront0000000002")
    program = scene.msgcube(late.toml(slow.url) + prompt.toml(quick.url))
    connection = scene.started(Http2(program.address))

    def post(account):
        query, body = account.safe(message())
        return connection.post(f"/callback/{account.appid}?{query}", body)

    first, second = post(late), post(prompt)
    outcomes = connection.outcomes([first, second])
    assert outcomes[second] == ("200", b"from the bot"), outcomes
    assert outcomes[first] == "reset", outcomes
    third = post(prompt)
    assert connection.outcomes([third])[third] == ("200", b"from the bot"), "the connection lives on"


@case
def a_message_counts_even_if_the_sender_hangs_up(scene):
    target = scene.started(Script(lambda exchange: wait(exchange, 1)))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    query, body = account.safe(message())
    head = f"POST /callback/{account.appid}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    host, port = program.address.split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(head.encode() + body)
        until("it is at the target", lambda: target.exchanges)
    until("it is counted", lambda: program.counted(account.appid) == {"text": 1})
    send(program, account, b"from the bot")


@case
def two_identical_callbacks_at_the_same_time_count_once(scene):
    target = scene.started(Script(lambda exchange: wait(exchange, 0.5)))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    callback = account.safe(message())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: account.post(program, callback), range(8)))
    assert [answer.body for answer in answers] == [b"from the bot"] * 8, answers
    assert len(target.exchanges) == 8 and program.counted(account.appid) == {"text": 1}


@case
def a_kill_loses_no_callback_that_was_answered(scene):
    """A callback is durable before it reaches the target. So it counts once after the restart, answered or not."""
    account = Account()
    hold = threading.Event()
    seen = []

    def handle(exchange):
        seen.append(exchange.body())
        if len(seen) > 20:
            hold.wait(200)
        exchange.answer(b"from the bot")

    target = scene.started(Script(handle))
    program = scene.msgcube(account.toml(target.url))
    callbacks = [account.safe(message(user=f"o{number}")) for number in range(40)]
    for callback in callbacks[:20]:
        assert account.post(program, callback).body == b"from the bot"
    with ThreadPoolExecutor(20) as pool:
        open_ones = [pool.submit(account.post, program, callback) for callback in callbacks[20:]]
        until("all are at the target", lambda: len(seen) == 40)
        program.kill()
        assert all(each.result() is None for each in open_ones)
    hold.set()
    in_a_later_second()
    program.start()
    assert program.counted(account.appid) == {"text": 40}, "what was passed on was durable"
    for callback in callbacks:
        assert account.post(program, callback).body == b"from the bot"
    assert program.counted(account.appid) == {"text": 40}, "sent again, each counts once"
    until("not running is a gap", lambda: program.gaps(account.appid))


@case
def a_graceful_end_answers_callbacks_in_progress(scene):
    answer = threading.Event()
    target = scene.started(Script(lambda exchange: (exchange.body(), answer.wait(200), exchange.answer(b"from the bot"))))
    account = Account()
    program = scene.msgcube(account.toml(target.url))
    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(send, program, account, b"from the bot")
        until("it is at the target", lambda: target.exchanges)
        ending = pool.submit(program.stop)
        until("it is ending", lambda: "shutting down: finishing open requests" in program.log())
        answer.set()
        under_way.result()
        ending.result()
    program.start()
    assert program.counted(account.appid) == {"text": 1}


run(at_once=8)
