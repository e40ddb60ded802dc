"""What became of a callback, and when."""

import socket
import time

from callbacks import message

# The deadline of a callback, from its first byte; WeChat itself gives up at 5 s.
DEADLINE_S = (4.8, 5.0)
QUICK_S = (0, 1.0)


def check(answer, took_s, wanted, within_s, why=""):
    """`wanted` is a body, or None for a connection that was closed unanswered."""
    found = answer if answer is None else (answer.status, answer.body)
    assert found == (wanted if wanted is None else (200, wanted)), f"{why}: {found} after {took_s:.2f} s, wanted {wanted}"
    assert within_s[0] <= took_s <= within_s[1], f"{why}: after {took_s:.2f} s, not {within_s}"


def timed(action):
    started = time.monotonic()
    return action(), time.monotonic() - started


def send(program, account, wanted, within_s, xml=None, why=""):
    answer, took_s = timed(lambda: account.post(program, account.safe(xml or message())))
    check(answer, took_s, wanted, within_s, why)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait(exchange, seconds, body=b"from the bot"):
    exchange.body()
    time.sleep(seconds)
    exchange.answer(body)
