"""Callbacks that are sent to several processes in turn, and questions meanwhile. The promise that is checked: what was
acknowledged counts exactly once, and an answer is right or an error, never short."""

import contextlib
import datetime
import hashlib
import http.client
import itertools
import json
import random
import re
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from urllib.parse import urlencode

from program import ADMIN_KEY, CHINA, until
from several import APPID, READY_SECONDS, SECRET, TOKEN

TRY_SECONDS, TRIES = 5, 3  # as WeChat
USERS = 300
# The mark of a process is up to 9 s old, and a commit may take as long. A dead process is noticed after 10 s.
GAP_BEFORE_FAULT, GAP_AFTER_FAULT = 30, 30


class Messages:
    """What was sent for each day, and what of it was acknowledged. `number` is the MsgId."""

    def __init__(self):
        self.lock, self.numbers = threading.Lock(), itertools.count(1)
        today = datetime.datetime.now(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
        # Yesterday's messages come late: they go into a period that is over.
        self.days = [(today - datetime.timedelta(days=1)).date().isoformat(), today.date().isoformat()]
        self.begins = {self.days[0]: int(today.timestamp()) - 86400, self.days[1]: int(today.timestamp())}
        self.sent = {day: {} for day in self.days}
        self.acknowledged = {day: {} for day in self.days}

    def new(self):
        with self.lock:
            number = next(self.numbers)
            day = self.days[number % 2]
            user = f"u{random.randrange(USERS)}"
            if day == self.days[0]:
                create_time = self.begins[day] + random.randrange(86400)
            else:
                create_time = min(int(time.time()), self.begins[day] + 86399)  # also if midnight passes
            message = (day, user, create_time, number)
            self.sent[day][number] = message
            return message

    def took(self, message):
        with self.lock:
            self.acknowledged[message[0]][message[3]] = message

    def unsure(self):
        """Sent, and never acknowledged: these may be counted or not."""
        with self.lock:
            return [
                message for day in self.days for number, message in self.sent[day].items()
                if number not in self.acknowledged[day]
            ]

    def size(self):
        with self.lock:
            return sum(len(messages) for messages in self.acknowledged.values())

    def figures(self, which):
        """For each day the number of messages, and of different users."""
        with self.lock:
            return {
                day: (len(which[day]), len({message[1] for message in which[day].values()})) for day in self.days
            }


class Load:
    """Senders and askers that run until `finish`. Programs that are in `away` get no requests."""

    def __init__(self, several, senders=6, askers=2):
        self.several, self.messages, self.away = several, Messages(), set()
        self.faults, self.slowest = [], 0.0
        self.ends, self.turns = threading.Event(), itertools.count()
        self.answers, self.loud, self.wrong, self.tries_failed = 0, 0, [], 0
        self.counting = threading.Lock()
        kinds = [self._send] * senders + [self._ask] * askers
        self.threads = [threading.Thread(target=self._guard, args=(kind,), daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def _guard(self, work):
        try:
            work()
        except Exception:  # a sender or asker that ends must not make the test pass
            with self.counting:
                self.wrong.append(traceback.format_exc())

    def next_program(self):
        programs = [program for program in self.several.programs if program not in self.away]
        return programs[next(self.turns) % len(programs)]

    def _send(self):
        connections = Connections()
        while not self.ends.is_set():
            message = self.messages.new()
            self.deliver(message, connections)
            if random.random() < 0.05:  # WeChat also repeats what was acknowledged, if the answer was lost
                self.deliver(message, connections)

    def deliver(self, message, connections):
        """As WeChat: up to three times, here each time at another process. True once it is acknowledged."""
        for _ in range(TRIES):
            program = self.next_program()
            if connections.callback(program.address, message):
                self.messages.took(message)
                return True
            with self.counting:
                self.tries_failed += 1
            self.ends.wait(0.05)
        return False

    def _ask(self):
        questions = itertools.cycle((self._statistics, self._interface))
        while not self.ends.is_set():
            program, question = self.next_program(), next(questions)
            least = self.messages.figures(self.messages.acknowledged)
            figures = None
            with suppress(OSError, AssertionError):  # an AssertionError: an answer that was cut, which is loud
                figures = question(program)
            most = self.messages.figures(self.messages.sent)
            self._judge(f"{question.__name__} of {program.address}", least, figures, most)
            self.ends.wait(0.02 if figures else 0.1)

    def _judge(self, what, least, figures, most):
        with self.counting:
            self.answers += 1
            if figures is None:
                self.loud += 1
                return
            for day, found in figures.items():
                for index, unit in ((0, "messages"), (1, "users")):
                    if not least[day][index] <= found[index] <= most[day][index]:
                        self.wrong.append(
                            f"{what}: {found[index]} {unit} of {day}, but {least[day][index]} were acknowledged before the question"
                            f" and {most[day][index]} were sent before the answer"
                        )

    def _statistics(self, program):
        """Messages and users of each day. None: an error. Anything else than 503 is not taken for one."""
        first, last = self.messages.days
        target = f"/v1/accounts/{APPID}/stats?from={first}&to={last}&period=day&by=type"
        answer = program.ask("GET", target, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60)
        if answer is None or answer.status == 503:
            return None
        if answer.status != 200:
            self._unexpected(target, answer)
            return None
        figures = {day: (0, 0) for day in self.messages.days}
        for row in json.loads(answer.body)["rows"]:
            if row["type"] == "text":
                figures[row["period"]] = (row["messages"], row["users"])
        return figures

    def _interface(self, program):
        """The same of yesterday, as an SDK asks. None: errcode -1."""
        day = self.messages.days[0]
        token = self._call(program, "/cgi-bin/stable_token", grant_type="client_credential", appid=APPID, secret=SECRET)
        if token is None:
            return None
        rows = self._call(
            program, f"/datacube/getupstreammsg?access_token={token['access_token']}", begin_date=day, end_date=day
        )
        if rows is None:
            return None
        texts = [(row["msg_count"], row["msg_user"]) for row in rows["list"] if row["msg_type"] == 1]
        return {day: texts[0] if texts else (0, 0)}

    def _call(self, program, target, **body):
        answer = program.ask("POST", target, json.dumps(body).encode(), {"Content-Type": "application/json"}, timeout=60)
        if answer is None or answer.status == 503:
            return None
        parsed = json.loads(answer.body)
        if parsed.get("errcode") == -1:
            return None
        if answer.status != 200 or parsed.get("errcode"):
            self._unexpected(target.split("?")[0], answer)
            return None
        return parsed

    def _unexpected(self, target, answer):
        with self.counting:
            self.wrong.append(f"{target}: {answer.status} {answer.body[:300]}")

    def more(self, count=60, seconds=120):
        """Waits until this many more messages are acknowledged."""
        wanted = self.messages.size() + count
        until(f"{count} more messages acknowledged", lambda: self.messages.size() >= wanted, seconds)

    @contextlib.contextmanager
    def fault(self):
        """A fault happens and ends inside. Afterwards every process must take messages and answer, without a restart."""
        began = time.time()
        yield
        ended = time.monotonic()
        self.faults.append((began, time.time()))
        for program in self.several.programs:
            until(f"{program.address} takes messages again", lambda: self._takes(program))
            until(f"{program.address} answers again", lambda: self._answers(program))
        self.slowest = max(self.slowest, time.monotonic() - ended)

    def _takes(self, program):
        message, connections = self.messages.new(), Connections()
        if connections.callback(program.address, message):
            self.messages.took(message)
            return True
        return False

    def _answers(self, program):
        with suppress(OSError, AssertionError):
            return self._statistics(program)
        return None

    def finish(self, cycles, gap=None):
        """Ends the load, sends again what was not acknowledged, and checks that all counts exactly once, everywhere. `gap`: whether
        the coverage must show one; None if that is a matter of chance."""
        self.ends.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a sender or asker hangs"
        self.ends.clear()
        self.several.wait_ready()
        connections, unsure = Connections(), self.messages.unsure()
        for message in unsure:
            until("an unsure message is acknowledged", lambda: self.deliver(message, connections), READY_SECONDS)
        exact = self.messages.figures(self.messages.sent)
        for program in self.several.programs:
            for question in (self._statistics, self._interface):
                figures = until("an answer without an error", lambda: question(program), READY_SECONDS)
                self._judge(f"at the end, {question.__name__} of {program.address}", exact, figures, exact)
        total = sum(messages for messages, _ in exact.values())
        self._check_replicas(total)
        gaps = self._check_coverage(gap)
        self._check_events(cycles)
        repeated = self._check_logs(cycles)
        # run.sh adds up the first four figures.
        print(
            f"{cycles} cycles, {total} messages checked, {self.answers} answers checked, {len(self.wrong)} wrong; {len(unsure)} messages"
            f" unsure at first, {self.tries_failed} tries without success, {self.loud} answers were errors, all well again"
            f" {self.slowest:.1f} s after a fault, {len(gaps)} gaps, most lines of the log with one text: {repeated}"
        )
        assert not self.wrong, "\n".join(self.wrong[:20])
        assert self.answers > self.loud, "no question was answered, so none was checked"

    def _check_replicas(self, total):
        shards = self.several.rows_of_replicas()
        for replicas in shards:
            if len(set(replicas)) != 1:
                self.wrong.append(f"the replicas of a shard differ: {shards}")
        if sum(replicas[0] for replicas in shards) != total:
            self.wrong.append(f"{total} messages, but the shards have {shards}")


    def _check_coverage(self, wanted):
        """All processes know the same gaps, and a gap has a fault."""
        def known():
            found = [program.gaps(APPID) for program in self.several.programs]
            return found[:1] if all(gaps == found[0] for gaps in found) else None

        (gaps,) = until("all processes know the same gaps", known, READY_SECONDS)
        if wanted is not None and bool(gaps) != wanted:
            self.wrong.append(f"gaps: {gaps}, but {'one is' if wanted else 'none is'} due")
        if gaps and not self.tries_failed:
            self.wrong.append(f"gaps: {gaps}, but every message was acknowledged at once")
        for begin, end in gaps:
            if not any(start - GAP_BEFORE_FAULT <= begin and end <= stop + GAP_AFTER_FAULT for start, stop in self._joined_faults()):
                self.wrong.append(f"the gap {begin:.0f} to {end:.0f} has no fault; there were {self.faults}")
        return gaps

    def _check_events(self, cycles):
        """A fault that lasts is stored once, not with every try: these facts stay for ever."""
        events = int(self.several.servers.postgres[0].sql("SELECT count(*) FROM msgcube.fact WHERE key LIKE 'service/%'"))
        if events > 5 + 3 * cycles:
            self.wrong.append(f"{events} events of the service are stored after {cycles} cycles")

    def _joined_faults(self):
        """Faults that follow each other closely may have one gap together."""
        joined = []
        for start, stop in self.faults:
            if joined and start - joined[-1][1] < GAP_BEFORE_FAULT + GAP_AFTER_FAULT:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
        return joined

    def _check_logs(self, cycles):
        """The same fault is not logged again and again. Returns how often the most frequent text was logged."""
        texts = Counter()
        for program in self.several.programs:
            for line in program.log().splitlines():
                text = re.sub(r"\d+", "#", re.sub(r"^\S+ +", "", line))[:80]
                texts[program.folder.name, text] += 1
        (most, count), *_ = texts.most_common(1)
        if count > 10 + 6 * cycles:
            self.wrong.append(f"{most[0]} logged {count} times in {cycles} cycles: {most[1]}")
        return count


class Connections:
    """One kept connection to each process. For one thread."""

    def __init__(self):
        self.open = {}

    def callback(self, address, message):
        """Sends a plain text message. True if it is acknowledged."""
        _, user, create_time, number = message
        now, nonce = str(int(time.time())), str(random.randrange(10**9))
        signature = hashlib.sha1("".join(sorted([TOKEN, now, nonce])).encode()).hexdigest()
        query = urlencode({"signature": signature, "timestamp": now, "nonce": nonce, "openid": user})
        body = (
            f"<xml><ToUserName>gh_several</ToUserName><FromUserName>{user}</FromUserName><CreateTime>{create_time}</CreateTime>"
            f"<MsgType>text</MsgType><Content>x</Content><MsgId>{number}</MsgId></xml>"
        )
        connection = self.open.pop(address, None) or http.client.HTTPConnection(address, timeout=TRY_SECONDS)
        try:
            connection.request("POST", f"/callback/{APPID}?{query}", body, {"Content-Type": "text/xml"})
            answer = connection.getresponse()
            acknowledged = (answer.status, answer.read()) == (200, b"success")
            self.open[address] = connection
            return acknowledged
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
