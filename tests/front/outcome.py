"""What became of a callback. When it did is tested in process, with a clock that stands still (crates/server/src/http/relay/): here
targets answer at once or never, and only the order and the outcome are looked at."""

import socket
import time

from callbacks import message


def check(answer, wanted, why=""):
    """`wanted` is a body, or None for a connection that was closed unanswered."""
    found = answer if answer is None else (answer.status, answer.body)
    assert found == (wanted if wanted is None else (200, wanted)), f"{why}: {found}, wanted {wanted}"


def send(program, account, wanted, xml=None, why=""):
    check(account.post(program, account.safe(xml or message())), wanted, why)


class Nobody:
    """A port on which nobody listens, and that nobody else gets meanwhile."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def close(self):
        self.socket.close()


def never(exchange):
    """Takes a callback and never answers; over when the other side closes."""
    exchange.body()
    exchange.connection.more()


def wait(exchange, seconds, body=b"from the bot"):
    exchange.body()
    time.sleep(seconds)
    exchange.answer(body)
