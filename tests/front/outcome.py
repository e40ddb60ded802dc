"""The outcome of a callback. Deadlines are tested in process with a stopped clock (crates/server/src/http/relay/). Here
targets answer at once or never, and only the order and the outcome are checked."""

import socket
import time

from callbacks import message


def check(answer, wanted, why=""):
    """`wanted` is a body, or None for a connection that was closed without an answer."""
    found = answer if answer is None else (answer.status, answer.body)
    assert found == (wanted if wanted is None else (200, wanted)), f"{why}: {found}, wanted {wanted}"


def send(program, account, wanted, xml=None, why=""):
    check(account.post(program, account.safe(xml or message())), wanted, why)


class Nobody:
    """A reserved port on which nothing listens."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def close(self):
        self.socket.close()


def never(exchange):
    """Takes a callback and never answers. Ends when the other side closes."""
    exchange.body()
    exchange.connection.more()


def wait(exchange, seconds, body=b"from the bot"):
    exchange.body()
    time.sleep(seconds)
    exchange.answer(body)
