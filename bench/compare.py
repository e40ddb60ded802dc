"""Asks msgcube and other databases the same questions about the same messages, in turns, and compares all answers.

    bench/compare.sh [MESSAGES [USERS [ROUNDS]]]     default: 5,000,000 messages of 500,000 users in a year, 5 rounds

Writes Markdown to standard output and progress to standard error. Ends with status 1 if answers differ. The other databases
get their work made easy: users are numbers and not openids, day and month are columns of their own.
"""

import json
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta

import chdb
import duckdb
from chdb.session import Session

from programs import machine, say

FIRST = date(2025, 1, 1)
COLUMNS = "user {number}, day {number}, month {text}, kind {text}"


def days(first, count):
    """The first and the last day of a stretch that starts this many days after 1 January."""
    return FIRST + timedelta(first), FIRST + timedelta(first + count - 1)


QUESTIONS = [
    ("90 days, each type", *days(45, 90), "total"),
    ("a year, each type", *days(0, 365), "total"),
    ("a year less its first and last day, each type", *days(1, 363), "total"),
    ("twelve whole months, each month and type", *days(0, 365), "month"),
    ("a year that begins and ends within a month, each month and type", *days(14, 337), "month"),
]


def queries(first, last, grouping):
    """The SQL of a question: each kind, then all kinds together. Distinct users are counted exactly."""
    label, group = ("month", ["month"]) if grouping == "month" else (f"'{first:%Y-%m}'", [])
    count = "count(*), count(DISTINCT user) FROM messages"
    stretch = f"day BETWEEN {(first - date(1970, 1, 1)).days} AND {(last - date(1970, 1, 1)).days}"
    by_kind = f"SELECT {label}, kind, {count} WHERE {stretch} GROUP BY {', '.join([*group, 'kind'])}"
    together = f"SELECT {label}, 'all', {count} WHERE {stretch}" + (" GROUP BY month" if group else "")
    return by_kind, together


class Msgcube:
    name = "msgcube"

    def __init__(self, program, folder, sizes):
        self.folder = folder / "msgcube"
        command = [program, self.folder, *sizes]
        subprocess.run([*command, "--step", "fill"], check=True, stdout=subprocess.DEVNULL)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen([*command, "--step", "answer"], **pipes)

    def bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.folder.rglob("*") if path.is_file())

    def ask(self, first, last, grouping):
        self.process.stdin.write(f"{first} {last} {grouping}\n")
        answer = json.loads(self.process.stdout.readline())
        return answer["rows"], answer["ms"]


class Sql:
    """A database that is asked with SQL in this process."""

    def ask(self, first, last, grouping):
        both = queries(first, last, grouping)
        start = time.perf_counter()
        rows = [row for query in both for row in self.rows(query)]
        return rows, (time.perf_counter() - start) * 1000

    def bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.path.parent.glob(f"{self.path.name}*"))


class Sqlite(Sql):
    name = f"SQLite {sqlite3.sqlite_version}, index of all columns"

    def __init__(self, file, folder):
        self.path = folder / "sqlite"
        self.connection = sqlite3.connect(self.path)
        self.connection.execute("PRAGMA cache_size = -512000")
        self.connection.execute(f"CREATE TABLE messages ({COLUMNS.format(number='INTEGER', text='TEXT')})")
        with open(file, encoding="ascii") as lines:
            rows = (line.rstrip("\n").split(",") for line in lines)
            self.connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows)
        self.connection.execute("CREATE INDEX by_day ON messages (day, kind, user, month)")
        self.connection.commit()
        self.connection.execute("ANALYZE")

    def rows(self, query):
        return self.connection.execute(query).fetchall()


class Duckdb(Sql):
    name = f"DuckDB {duckdb.__version__}"

    def __init__(self, file, folder):
        self.path = folder / "duckdb"
        self.connection = duckdb.connect(str(self.path))
        columns = "{'user': 'UINTEGER', 'day': 'INTEGER', 'month': 'VARCHAR', 'kind': 'VARCHAR'}"
        source = f"read_csv('{file}', header = false, columns = {columns})"
        self.connection.execute(f"CREATE TABLE messages AS SELECT * FROM {source} ORDER BY day, kind")
        self.connection.execute("CHECKPOINT")

    def rows(self, query):
        return self.connection.execute(query).fetchall()


class Clickhouse(Sql):
    name = f"ClickHouse (chDB {chdb.__version__})"

    def __init__(self, file, folder):
        self.path = folder / "clickhouse"
        self.session = Session(str(self.path))
        self.session.query("CREATE DATABASE bench ENGINE = Atomic")
        self.session.query("USE bench")
        columns = "user UInt32, day Int32, month LowCardinality(String), kind LowCardinality(String)"
        self.session.query(f"CREATE TABLE messages ({columns}) ENGINE = MergeTree ORDER BY (day, kind)")
        self.session.query(f"INSERT INTO messages SELECT * FROM file('{file}', 'CSV', '{columns}')")
        self.session.query("OPTIMIZE TABLE messages FINAL")

    def rows(self, query):
        # count(DISTINCT) is uniqExact there by default: exact.
        text = str(self.session.query(query, "JSONCompactEachRow"))
        return [[row[0], row[1], int(row[2]), int(row[3])] for row in map(json.loads, text.splitlines())]

    def bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.path.rglob("*") if path.is_file())


def compare(databases, rounds):
    """Times in ms by question and database. Ends the program if answers differ."""
    times = {}
    for _ in range(rounds):
        for question, *asked in QUESTIONS:
            answers = []
            for database in databases:
                rows, ms = database.ask(*asked)
                times.setdefault((question, database.name), []).append(ms)
                answers.append(sorted(map(tuple, rows)))
            for database, answer in zip(databases[1:], answers[1:]):
                if answer != answers[0]:
                    raise SystemExit(f"{question}: {database.name} says {answer}, msgcube says {answers[0]}")
    return times


def main():
    program, (messages, users, rounds) = sys.argv[1], map(int, sys.argv[2:5])
    sizes = ["--messages", str(messages), "--users", str(users)]
    # beside the build, because a temporary folder may be in memory
    with tempfile.TemporaryDirectory(dir=pathlib.Path(program).parent) as folder:
        folder = pathlib.Path(folder).resolve()
        file = folder / "messages.csv"
        with open(file, "wb") as out:
            subprocess.run([program, folder, *sizes, "--step", "export"], check=True, stdout=out)
        databases = []
        for make in (lambda: Msgcube(program, folder, sizes), *(
            lambda kind=kind: kind(file, folder) for kind in (Duckdb, Clickhouse, Sqlite)
        )):
            start = time.monotonic()
            databases.append(make())
            say(f"{databases[-1].name}: filled in {time.monotonic() - start:.0f} s")
        times = compare(databases, rounds)
        print(f"{messages:,} messages of {users:,} users in a year; {machine()}; median of {rounds} rounds in turns\n")
        print("| ms | " + " | ".join(database.name for database in databases) + " |")
        print("|---" * (len(databases) + 1) + "|")
        for question, *_ in QUESTIONS:
            medians = (statistics.median(times[question, database.name]) for database in databases)
            print(f"| {question} | " + " | ".join(f"{ms:,.2f}" for ms in medians) + " |")
        sizes = (f"{database.bytes() / messages:.1f}" for database in databases)
        print("| bytes a message on disk | " + " | ".join(sizes) + " |")


main()
