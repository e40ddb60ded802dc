"""The benchmarks. msgcube and the no-op program are measured in turns in the same run. The ratio is the median."""

import json
import pathlib
import signal
import statistics
import sys
import tempfile
import time
from datetime import date, datetime, timedelta

from programs import ADMIN_KEY, APPID, CHINA, SECRET, TOKEN, Programs, account, machine, say

FULL = {"seconds": 5, "rounds": 5, "connections": (1, 64, 256), "few": 10_000, "many": 10_000_000, "users": 1_000_000,
        "bounded": 5_000_000}
QUICK = {"seconds": 0.5, "rounds": 1, "connections": (1, 64), "few": 1_000, "many": 50_000, "users": 20_000,
         "bounded": 50_000}


class Bench(Programs):
    """The table so far."""

    def __init__(self, programs, folder, sizes):
        super().__init__(programs, folder)
        self.sizes = sizes
        self.rows = []
        self.own = []

    def row(self, what, ours, baseline="", ratio=""):
        say(f"{what}: {ours} {baseline} {ratio}")
        self.rows.append((what, ours, baseline, ratio))

    def beside_noop(self, what, server, mode, connections, *options):
        """Measures both in turns, so that other work of the machine affects both equally."""
        noop = self.noop()
        ours, theirs = [], []
        for _ in range(self.sizes["rounds"]):
            for target, reports in ((noop, theirs), (server, ours)):
                options_here = ["--connections", connections, "--seconds", self.sizes["seconds"], *options]
                reports.append(self.load(target, mode, *options_here))
        noop.end()
        ratio = statistics.median(a["per_second"] / b["per_second"] for a, b in zip(ours, theirs))
        own = median(ours, "own_cpu_us_per_request")
        say(f"  the load generator itself: {own:.1f} us CPU a request")
        self.own.append(own)
        self.row(f"{what}, {connections} connections", describe(ours), describe(theirs), f"{ratio:.2f}")


def median(reports, key):
    return statistics.median(report[key] for report in reports)


def describe(reports):
    rate, cpu, p99 = (median(reports, key) for key in ("per_second", "cpu_us_per_request", "p99_us"))
    return f"{rate:,.0f}/s, {cpu:.1f} us CPU, p99 {p99 / 1000:.1f} ms"


def last_month():
    """The first day of last month, its first second, and the first second after it."""
    end = datetime.now(CHINA).date().replace(day=1)
    begin = (end - timedelta(days=1)).replace(day=1)
    return begin, moment(begin), moment(end)


def moment(day: date):
    return int(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp())


def bytes_in(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def callbacks(bench):
    server = bench.msgcube("callbacks", account())
    server.ready()
    for connections in bench.sizes["connections"]:
        bench.beside_noop("Durable callbacks", server, "callback", connections, "--token", TOKEN)
    server.end()


def months(bench):
    """Month queries with few and with many stored messages. Also the bulk rate, the size on disk and the restart."""
    begin, start, end = last_month()
    server = bench.msgcube("months", account())
    server.ready()
    path = f"/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}"
    access = json.loads(server.get(path))["access_token"]
    query = ("--access-token", access, "--begin", begin)
    few, many = bench.sizes["few"], bench.sizes["many"]
    connections = bench.sizes["connections"][1]
    fill(bench, server, few, 1_000, start, start + 3600)
    server.claim(begin)
    bench.beside_noop(f"Month query, {few:,} messages stored", server, "month", connections, *query)
    report = fill(bench, server, many - few, many // 100, start + 3600, end)
    bench.row("Bulk intake", f"{report['per_second']:,.0f} messages/s, {report['cpu_us_per_request']:.1f} us CPU each")
    bench.beside_noop(f"Month query, {many:,} messages stored", server, "month", connections, *query)
    bench.row(f"Memory, {many:,} messages of {many // 100:,} users", f"{server.memory_mib():.0f} MiB")
    bench.row("Size on disk", f"{bytes_in(bench.folder / 'months') / many:.1f} bytes a message")
    server.end(signal.SIGKILL)
    server = bench.msgcube("months", account())
    bench.row(f"Restart after SIGKILL, {many:,} messages", f"{server.ready():.1f} s until ready")
    server.end()
    bench.row("Size on disk after a graceful end", f"{bytes_in(bench.folder / 'months') / many:.1f} bytes a message")


def fill(bench, server, messages, users, start, end):
    options = ["--admin-key", ADMIN_KEY, "--messages", messages, "--users", users, "--from", start, "--to", end]
    return bench.load(server, "bulk", "--connections", 2, *options)


def memory(bench):
    server = bench.msgcube("memory", account())
    server.ready()
    time.sleep(1)
    bench.row("Memory, idle and empty", f"{server.memory_mib():.0f} MiB")
    _, start, end = last_month()
    users = bench.sizes["users"]
    fill(bench, server, users, users, start, end)
    bench.row(f"Memory, {users:,} users with a message each last month", f"{server.memory_mib():.0f} MiB")
    server.end()
    server = bench.msgcube("bounded", f"memory_mib = 256\n\n{account()}")
    server.ready()
    users = bench.sizes["bounded"]
    fill(bench, server, 2 * users, users, start, end)
    what = f"Memory at most, {users:,} users with two messages each last month, memory_mib = 256"
    bench.row(what, f"{server.memory_mib('VmHWM'):.0f} MiB")
    server.end()


def main():
    sizes = QUICK if "--quick" in sys.argv[2:] else FULL
    # beside the build, because a temporary folder may be in memory
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
        bench = Bench(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder).resolve(), sizes)
        for part in (callbacks, months, memory):
            part(bench)
    own = f"load generator on the same cores, {min(bench.own):.0f} to {max(bench.own):.0f} us CPU a request"
    print(f"{machine()}; {own}; median of {sizes['rounds']} rounds in turns\n")
    print("| | msgcube | no-op on the same HTTP stack | ratio |\n|---|---|---|---|")
    for row in bench.rows:
        print(f"| {' | '.join(row)} |")


main()
