"""One process on PostgreSQL and ClickHouse, beside the embedded store in the same run: callbacks, bulk, questions.
shared.py PROGRAMS [--quick], with .test-env/ and the servers' packages, which ./test installs.

The servers (2 x 2 nodes of ClickHouse, ZooKeeper, PostgreSQL with a synchronous standby), msgcube and the load generator share
this machine."""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timedelta

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "tests" / folder) for folder in ("front", "cluster")]

import several  # noqa: E402
from programs import ADMIN_KEY, APPID, CHINA, SECRET, TOKEN, Programs, account, machine, say  # noqa: E402
from servers import Servers  # noqa: E402

FULL = {"seconds": 8, "rounds": 3, "connections": (1, 64, 512, 1024), "messages": 5_000_000, "users": 370_000, "asked": 20}
MONTH = timedelta(days=29)  # the longest range that is allowed
QUICK = {"seconds": 1, "rounds": 1, "connections": (64,), "messages": 50_000, "users": 5_000, "asked": 3}


def month_before(day):
    """The first days of the month before, and of the month of the day."""
    end = day.replace(day=1)
    return (end - timedelta(days=1)).replace(day=1), end


def seconds_of(day):
    return int(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp())


class Side:
    """One of both stores, with a process on it."""

    def __init__(self, name, server):
        self.name, self.server = name, server
        server.ready()
        path = f"/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}"
        self.access = json.loads(server.get(path))["access_token"]

    def ask(self, path, body):
        """Milliseconds of a question, and its rows."""
        request = urllib.request.Request(f"http://{self.server.address}{path}", data=json.dumps(body).encode())
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as answer:
            content = json.loads(answer.read())
        took = (time.perf_counter() - started) * 1000
        assert "list" in content, content
        return took, content["list"]

    def times(self, interface, begin, end, count):
        """The first answer's milliseconds, the median of more, and the rows."""
        path = f"/datacube/{interface}?access_token={self.access}"
        body = {"begin_date": str(begin), "end_date": str(end)}
        first, rows = self.ask(path, body)
        more = [self.ask(path, body)[0] for _ in range(count)]
        return first, statistics.median(more), rows


class Bench(Programs):
    def __init__(self, programs, folder, sizes, servers):
        super().__init__(programs, folder)
        self.servers, self.sizes, self.rows = servers, sizes, []
        key = folder / "msgcube.key"
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        own = f"{account()}\n[datacube]\nlive = true\n"
        shared = f'data_key_file = "{key}"\n{own}{several.store(servers)}'
        self.init(shared)
        self.sides = [Side("embedded", self.msgcube("embedded", own)), Side("shared", self.msgcube("shared", shared))]

    def init(self, config):
        file = self.folder / "init.toml"
        file.write_text(f'data_dir = "{self.folder / "init"}"\nadmin_key = "{ADMIN_KEY}"\n\n{config}')
        done = subprocess.run([self.programs / "msgcube", "store", "init", "--config", file], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)

    def row(self, what, embedded, shared):
        say(f"{what}: {embedded} {shared}")
        self.rows.append((what, embedded, shared))

    def load_in_turns(self, mode, *options):
        reports = [[], []]
        for _ in range(self.sizes["rounds"]):
            for side, told in zip(self.sides, reports):
                told.append(self.load(side.server, mode, *options))
        return reports


    def parts(self):
        """How many parts of the open month the first replica of each shard has."""
        question = f"SELECT count() FROM system.parts WHERE active AND database = '{several.DATABASE}' AND table = 'raw'"
        month = datetime.now(CHINA).strftime("%Y%m")
        return " and ".join(shard[0].sql(f"{question} AND partition = '{month}'") for shard in self.servers.shards)


def describe(reports):
    def median(key):
        return statistics.median(report[key] for report in reports)
    return f"{median('per_second'):,.0f}/s, p50 {median('p50_us') / 1000:.1f} ms, p99 {median('p99_us') / 1000:.1f} ms"


def callbacks(bench):
    best = 0
    for connections in bench.sizes["connections"]:
        options = ("--token", TOKEN, "--connections", connections, "--seconds", bench.sizes["seconds"])
        reports = bench.load_in_turns("callback", *options)
        best = max(best, statistics.median(report["per_second"] for report in reports[1]))
        bench.row(f"Durable callbacks, {connections} connections", *map(describe, reports))
    half = int(best / 2)
    options = ("--token", TOKEN, "--connections", 512, "--seconds", bench.sizes["seconds"], "--rate", half)
    bench.row(f"At {half:,}/s, half of the highest rate", *map(describe, bench.load_in_turns("callback", *options)))


def questions(bench):
    today = datetime.now(CHINA).date()
    closed, opened = month_before(today)
    sizes = bench.sizes
    for begin, end, messages in ((opened, today + timedelta(days=1), sizes["messages"]), (closed, opened, sizes["messages"] // 5)):
        options = ["--admin-key", ADMIN_KEY, "--messages", messages, "--users", sizes["users"], "--connections", 2,
                   "--from", seconds_of(begin), "--to", seconds_of(end)]
        for side in bench.sides:
            side.server.claim(closed)
        told = [bench.load(side.server, "bulk", *options) for side in bench.sides]
        bench.row(f"Bulk, {messages:,} messages", *[f"{report['per_second']:,.0f}/s" for report in told])
    bench.row("Parts of the open month, by shard", "", bench.parts())
    last = opened - timedelta(days=1)
    asked = [
        ("getupstreammsgmonth", opened, today), ("getupstreammsgdistmonth", opened, today),
        ("getupstreammsg", today, today), ("getupstreammsghour", today, today),
        ("getupstreammsgmonth", closed, closed + MONTH), ("getupstreammsgdistmonth", closed, closed + MONTH),
        ("getupstreammsg", last - timedelta(days=6), last), ("getupstreammsghour", last, last),
    ]
    for interface, begin, end in asked:
        told = [side.times(interface, begin, end, sizes["asked"]) for side in bench.sides]
        assert told[0][2] == told[1][2] and told[0][2], f"{interface} {begin} {end}: {told[0][2]} {told[1][2]}"
        what = f"`{interface}`, {'open' if end == today else 'closed'}, {begin}..{end}"
        bench.row(what, *[f"first {first:.1f} ms, then {then:.1f} ms" for first, then, _ in told])


def main():
    sizes = QUICK if "--quick" in sys.argv[2:] else FULL
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder).resolve()
        folder.chmod(0o711)  # PostgreSQL runs as another user
        with Servers.up(folder / "servers", cluster=True, pair=True) as servers:
            bench = Bench(pathlib.Path(sys.argv[1]).resolve(), folder, sizes, servers)
            for part in [part for part in (questions, callbacks) if part.__name__ in sys.argv[2:] or not {"questions", "callbacks"} & set(sys.argv[2:])]:
                part(bench)
            for side in bench.sides:
                side.server.end()
    print(f"{machine()}; all servers and the load generator on the same cores; median of {sizes['rounds']} rounds in turns\n")
    print("| | embedded | PostgreSQL and ClickHouse |\n|---|---|---|")
    for row in bench.rows:
        print(f"| {' | '.join(row)} |")


main()
