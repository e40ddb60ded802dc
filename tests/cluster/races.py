"""Two msgcube processes on one store, and requests that reach both at the same instant."""

import http.client
import itertools
import json
import os
import pathlib
import random
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from several import Several, up  # first: with it tests/front can be imported

import callbacks
from program import ADMIN_KEY, Scene
from wechat import WeChat

TRIES = int(os.environ.get("MSGCUBE_RACE_TRIES", "300"))
FEWER_TRIES = TRIES // 3
RACERS = 4
KEPT_SECONDS = 3  # a connection that was unused for longer is not used again: the server may be closing it
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
SECRET, TOKEN = "secret-that-callers-use", "tokenOfTheRaces"
ANSWER_SECONDS = 60
RIGHT_DATE, WRONG_DATE = "2020-01-01", "2020-1-1"


class Answer:
    """Status and body. `status` is None if the connection was closed without an answer."""

    def __init__(self, status, body=b""):
        self.status, self.body = status, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def errcode(self):
        """0: no error."""
        assert self.status == 200, self
        return self.json.get("errcode", 0)

    def __repr__(self):
        return f"{self.status} {self.body[:300]}"


class Process:
    """One of the processes. Each thread keeps a connection of its own."""

    def __init__(self, program):
        self.program, self.kept = program, threading.local()

    def ask(self, method, target, body=None, headers=()):
        connection, used = getattr(self.kept, "connection", (None, 0))
        if connection is None or time.monotonic() - used > KEPT_SECONDS:
            connection = http.client.HTTPConnection(self.program.address, timeout=ANSWER_SECONDS)
        self.kept.connection = (None, 0)
        try:
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            found = Answer(answer.status, answer.read())
        except (http.client.HTTPException, ConnectionError):
            connection.close()
            return Answer(None)
        self.kept.connection = (connection, time.monotonic())
        return found

    def own(self, method, target, body=None, expected=200):
        """The admin API. Returns what it answered."""
        answer = self.ask(method, target, None if body is None else json.dumps(body), ADMIN)
        assert answer.status == expected, (method, target, answer)
        return json.loads(answer.body or b"null")

    def call(self, path, token=None, name="access_token", **body):
        """A call as SDKs make it."""
        target = f"{path}?{urlencode({name: token})}" if token else path
        return self.ask("POST", target, json.dumps(body), {"Content-Type": "application/json"})

    def stable_token(self, appid, force=False):
        answer = self.call(
            "/cgi-bin/stable_token", grant_type="client_credential", appid=appid, secret=SECRET, force_refresh=force
        )
        assert answer.status == 200 and "access_token" in answer.json, answer
        return answer.json["access_token"]

    def seven(self, token, interface="getupstreammsg", date=WRONG_DATE):
        """The error code of one of the seven interfaces. 0 also if only the date is wrong: that is checked last, and such a call
        is cheap."""
        code = self.call(f"/datacube/{interface}", token, begin_date=date, end_date=date).errcode
        return 0 if (code, date) == (61500, WRONG_DATE) else code

    def callback(self, path, signer, xml):
        query, body = signer.encrypted(xml)
        return self.ask("POST", f"{path}?{query}", body, {"Content-Type": "text/xml"})

    def counted(self, appid):
        """All its messages, also those of another day."""
        rows = self.own("GET", f"/v1/accounts/{appid}/stats?from=2020-01-01&to=2099-12-31&period=total&by=type")["rows"]
        return sum(row["messages"] for row in rows)


class Pair:
    """Two processes, a fake WeChat, and threads that begin at the same instant."""

    pairs = {}  # by configuration: several cases use the same servers

    @classmethod
    def kept(cls, binary, config):
        """Two processes with this configuration, in which {wechat} is the address of the fake WeChat."""
        if config not in cls.pairs:
            cls.pairs[config] = cls(Scene(binary, pathlib.Path(tempfile.mkdtemp(prefix="races-"))), config)
        return cls.pairs[config]

    @classmethod
    def close_all(cls):
        for pair in cls.pairs.values():
            pair.scene.close()
            shutil.rmtree(pair.scene.folder, ignore_errors=True)

    def __init__(self, scene, config):
        self.scene = scene
        self.wechat = scene.started(WeChat(keep_bytes=False))
        self.wechat.token_delay_s = 0.02
        self.servers = up(scene, single=True, pg=True)
        # The clock of one is a second ahead, as if both had been asked just before and just after the second changes.
        self.several = Several(scene, self.servers, ahead=[0, 1], more=config.replace("{wechat}", self.wechat.url))
        self.processes = [Process(program) for program in self.several.programs]
        self.pool = ThreadPoolExecutor(RACERS)
        self.numbers = itertools.count(1)

    def tries(self, count=TRIES):
        """For each try its number and both processes, each of them first in half of the tries."""
        started = time.monotonic()
        for number in range(count):
            first, second = self.processes
            yield (number, first, second) if number % 2 else (number, second, first)
        print(f"{count} tries in {time.monotonic() - started:.1f} s")

    def at_once(self, *works):
        """The results of these functions, which begin at the same instant. In half of the tries some begin a little later, so
        that they also meet in the middle of each other."""
        start = threading.Barrier(len(works))
        later = random.choice((0, 0, 0.002, 0.006))

        def begin(work):
            start.wait(ANSWER_SECONDS)
            if later:
                time.sleep(random.uniform(0, later))
            return work()

        begun = [self.pool.submit(begin, work) for work in works]
        return [one.result() for one in begun]

    def new_account(self, process, **settings):
        """Adds an account at this process. Returns its appid."""
        appid = f"wxrace{next(self.numbers):012}"
        settings = {"appid": appid, "secret": SECRET, "token": TOKEN, "encoding_aes_key": callbacks.AES_KEY, **settings}
        process.own("POST", "/v1/accounts", settings, expected=201)
        return appid
