"""One process on ClickHouse and PostgreSQL, beside one with a data folder in the same run. Run it with bench/shared.sh.

The servers (2 x 2 nodes of ClickHouse, ZooKeeper, PostgreSQL with a synchronous standby), both processes and the load generator
share this machine."""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from programs import ADMIN_KEY, APPID, CHINA, SECRET, TOKEN, Programs, account, machine, say

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "tests" / folder) for folder in ("front", "cluster")]

import several  # noqa: E402
from servers import Servers  # noqa: E402

FULL = {"seconds": 8, "rounds": 3, "connections": (1, 64, 512, 1024), "messages": 5_000_000, "users": 370_000, "asked": 20, "accounts": 2_000}
QUICK = {"seconds": 1, "rounds": 1, "connections": (64,), "messages": 50_000, "users": 5_000, "asked": 3, "accounts": 50}
LONGEST_RANGE = timedelta(days=29)
# Enough that none waits for a free connection at the fixed rate.
PACED_CONNECTIONS = 2000
ROWS_OF_AN_INSERT = 200


class Side:
    """A process that is measured."""

    def __init__(self, server):
        self.server = server
        server.ready()
        path = f"/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}"
        self.access = json.loads(server.get(path))["access_token"]

    def ask(self, interface, begin, end):
        """Milliseconds of a question, and its rows."""
        url = f"http://{self.server.address}/datacube/{interface}?access_token={self.access}"
        body = json.dumps({"begin_date": str(begin), "end_date": str(end)}).encode()
        started = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=120) as answer:
            content = json.loads(answer.read())
        took = (time.perf_counter() - started) * 1000
        if "list" not in content:
            raise SystemExit(f"{interface} {begin} {end}: {content}")
        return took, content["list"]


    def own(self, path, body=None):
        """Milliseconds of a call of msgcube's own interface, and its answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{self.server.address}{path}", data=data, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
        )
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as answer:
            content = json.loads(answer.read())
        return (time.perf_counter() - started) * 1000, content


class Bench(Programs):
    def __init__(self, programs, folder, sizes, servers):
        super().__init__(programs, folder)
        self.sizes, self.servers, self.rows = sizes, servers, []
        key = folder / "msgcube.key"
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        config = f"{account()}\n[datacube]\nlive = true\n"
        shared = f'data_key_file = "{key}"\n{config}{several.store(servers)}'
        self.prepare(shared)
        self.embedded, self.shared = Side(self.msgcube("embedded", config)), Side(self.msgcube("shared", shared))

    def prepare(self, config):
        file = self.folder / "init.toml"
        file.write_text(f'data_dir = "{self.folder / "init"}"\nadmin_key = "{ADMIN_KEY}"\n\n{config}')
        done = subprocess.run([self.programs / "msgcube", "store", "init", "--config", file], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)

    @property
    def sides(self):
        return self.embedded, self.shared

    def row(self, what, embedded, shared):
        say(f"{what}: {embedded} | {shared}")
        self.rows.append((what, embedded, shared))

    def in_turns(self, *options):
        """The reports of both processes, measured in turns, so that other work of the machine affects both equally."""
        reports = [[], []]
        for _ in range(self.sizes["rounds"]):
            for side, told in zip(self.sides, reports):
                told.append(self.load(side.server, *options))
        return reports

    def parts(self):
        """How many parts of the open month the first replica of each shard has."""
        month = datetime.now(CHINA).strftime("%Y%m")
        question = (
            f"SELECT count() FROM system.parts WHERE active AND database = '{several.DATABASE}' AND table = 'raw'"
            f" AND partition = '{month}'"
        )
        return " and ".join(shard[0].sql(question) for shard in self.servers.shards)


def describe(reports):
    def median(key):
        return statistics.median(report[key] for report in reports)
    return f"{median('per_second'):,.0f}/s, p50 {median('p50_us') / 1000:.1f} ms, p99 {median('p99_us') / 1000:.1f} ms"


def questions(bench):
    sizes, today = bench.sizes, datetime.now(CHINA).date()
    month = today.replace(day=1)
    last = month - timedelta(days=1)
    before = last.replace(day=1)
    fill(bench, month, today + timedelta(days=1), sizes["messages"])
    fill(bench, before, month, sizes["messages"] // 5)
    for side in bench.sides:
        side.server.claim(before)
    bench.row("Parts of the open month on the two shards", "", bench.parts())
    for interface, begin, end in (
        ("getupstreammsgmonth", month, today), ("getupstreammsgdistmonth", month, today),
        ("getupstreammsg", today, today), ("getupstreammsghour", today, today),
        ("getupstreammsgmonth", before, before + LONGEST_RANGE), ("getupstreammsgdistmonth", before, before + LONGEST_RANGE),
        ("getupstreammsg", last - timedelta(days=6), last), ("getupstreammsghour", last, last),
    ):
        compare(bench, interface, begin, end, "open" if end == today else "over")


def fill(bench, begin, end, messages):
    options = [
        "--admin-key", ADMIN_KEY, "--connections", 2, "--messages", messages, "--users", bench.sizes["users"],
        "--from", midnight(begin), "--to", midnight(end),
    ]
    rates = [f"{bench.load(side.server, 'bulk', *options)['per_second']:,.0f}/s" for side in bench.sides]
    bench.row(f"Bulk, {messages:,} messages", *rates)


def midnight(day):
    return int(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp())


def compare(bench, interface, begin, end, state):
    """The first answer of both processes, then the median of more. The rows must be the same."""
    told, rows = [], []
    for side in bench.sides:
        first, found = side.ask(interface, begin, end)
        more = [side.ask(interface, begin, end)[0] for _ in range(bench.sizes["asked"])]
        told.append(f"{first:.1f} ms, then {statistics.median(more):.1f} ms")
        rows.append(found)
    if rows[0] != rows[1] or not rows[0]:
        raise SystemExit(f"{interface} {begin} {end}: {rows[0]} is not {rows[1]}")
    bench.row(f"`{interface}`, {state}, {begin}..{end}: the first answer", *told)


def callbacks(bench):
    best, seconds = 0, bench.sizes["seconds"]
    for connections in bench.sizes["connections"]:
        reports = bench.in_turns("callback", "--token", TOKEN, "--connections", connections, "--seconds", seconds)
        best = max(best, statistics.median(report["per_second"] for report in reports[1]))
        bench.row(f"Callbacks, {connections} connections", *map(describe, reports))
    rate = int(best / 2)
    reports = bench.in_turns(
        "callback", "--token", TOKEN, "--connections", PACED_CONNECTIONS, "--seconds", seconds, "--rate", rate
    )
    bench.row(f"Callbacks, {rate:,} a second at fixed moments", *map(describe, reports))
    bare_inserts(bench)


def summary(bench):
    """All accounts at a glance, of as many accounts as an operator of a platform may have."""
    accounts, times = bench.sizes["accounts"], []
    for side in bench.sides:
        for number in range(accounts):
            side.own("/v1/accounts", {"appid": f"wxmany{number:012}", "secret": SECRET, "token": TOKEN})
        asked = [side.own("/v1/summary") for _ in range(bench.sizes["asked"])]
        assert all(len(found["accounts"]) == accounts + 1 for _, found in asked)
        times.append(f"{statistics.median(took for took, _ in asked):.1f} ms")
    bench.row(f"`/v1/summary`, {accounts + 1:,} accounts", *times)


def bare_inserts(bench):
    """What a callback waits for at least: an insert that both replicas confirm, one at a time on each shard."""
    rows = (
        "SELECT 'bare', concat('u', toString(rand() % 1000)), now(), unhex(concat('01', hex(generateUUIDv4()))), 1, '', 0"
        f" FROM numbers({ROWS_OF_AN_INSERT})"
    )
    until = time.monotonic() + bench.sizes["seconds"] * bench.sizes["rounds"]

    def insert(shard):
        times = []
        while time.monotonic() < until:
            started = time.perf_counter()
            shard[0].sql(f"INSERT INTO {several.DATABASE}.raw {rows}", insert_quorum=len(shard), insert_deduplicate=0, async_insert=0)
            times.append((time.perf_counter() - started) * 1000)
        return times

    with ThreadPoolExecutor() as pool:
        times = sorted(one for found in pool.map(insert, bench.servers.shards) for one in found)
    what = f"A bare insert of {ROWS_OF_AN_INSERT} rows into each shard, with a quorum"
    bench.row(what, "", f"p50 {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms")


def main():
    sizes = QUICK if "--quick" in sys.argv[2:] else FULL
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder).resolve()
        folder.chmod(0o711)  # PostgreSQL runs as another user
        with Servers.up(folder / "servers", cluster=True, pair=True) as servers:
            bench = Bench(pathlib.Path(sys.argv[1]).resolve(), folder, sizes, servers)
            # First, since the callbacks of both are not the same.
            questions(bench)
            summary(bench)
            callbacks(bench)
            for side in bench.sides:
                side.server.end()
    print(f"{machine()}; everything on the same cores; median of {sizes['rounds']} rounds in turns\n")
    print("| | data folder | ClickHouse and PostgreSQL |\n|---|---|---|")
    for row in bench.rows:
        print(f"| {' | '.join(row)} |")


main()
