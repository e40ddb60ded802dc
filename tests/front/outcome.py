"""What became of a callback, and when."""

import socket
import threading
import time

from callbacks import message

# The deadline of a callback, from its first byte; WeChat itself gives up at 5 s.
DEADLINE_S = (4.8, 5.0)
QUICK_S = (0, 1.0)


class Watch:
    """Stops the time that something takes. Beside it a thread does nothing but sleep: how late it wakes up, added up, is time
    that the machine gave to others. Next to nothing on a quiet machine, so that a deadline is checked to a tenth of a second."""

    STEP_S = 0.01

    def __enter__(self):
        self._stolen_s, self._ended = 0.0, threading.Event()
        self._sleeper = threading.Thread(target=self._sleep)
        self._sleeper.start()
        self._started = time.monotonic()
        return self

    def _sleep(self):
        started = time.monotonic()
        while not self._ended.wait(self.STEP_S):
            now = time.monotonic()
            self._stolen_s += max(0, now - started - self.STEP_S - 0.002)
            started = now

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._started
        self._ended.set()
        self._sleeper.join()

    def is_within(self, bounds_s):
        return bounds_s[0] <= self.seconds and self.seconds - self._stolen_s <= bounds_s[1]

    def __str__(self):
        return f"{self.seconds:.2f} s ({self._stolen_s:.2f} s of them not ours)"


def check(answer, took, wanted, within_s, why=""):
    """`wanted` is a body, or None for a connection that was closed unanswered."""
    found = answer if answer is None else (answer.status, answer.body)
    assert found == (wanted if wanted is None else (200, wanted)), f"{why}: {found} after {took}, wanted {wanted}"
    assert took.is_within(within_s), f"{why}: after {took}, not {within_s}"


def timed(action):
    with Watch() as took:
        outcome = action()
    return outcome, took


def send(program, account, wanted, within_s, xml=None, why=""):
    check(*timed(lambda: account.post(program, account.safe(xml or message()))), wanted, within_s, why)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait(exchange, seconds, body=b"from the bot"):
    exchange.body()
    time.sleep(seconds)
    exchange.answer(body)
