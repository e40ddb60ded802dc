"""The servers that tests of the shared store need, on loopback, in a fresh folder, on ports of their own.

servers.py FOLDER up [--single] [--cluster] [--postgres] [--pair] [--old] [--shards N] [--replicas N] [--disk NODE=SIZE]
    starts them and prints the environment of the tests. Without any of the first five: --single --cluster --postgres, and --old
    if it is installed.
    FOLDER must not exist or be empty.
servers.py FOLDER run [the same options] -- COMMAND...
    starts them, runs the command with that environment, and ends them.
servers.py FOLDER env | status | down
servers.py FOLDER start | stop | kill | pause | resume NODE
servers.py FOLDER promote           makes PostgreSQL's standby the primary
servers.py FOLDER sql NODE QUERY

Nodes: single (ClickHouse, alone), s1r1 s1r2 s2r1 s2r2 (ClickHouse, shard and replica), zk (ZooKeeper), pg1 (PostgreSQL's primary),
pg2 (its synchronous standby, with --pair), old (a ClickHouse that is too old)."""

import argparse
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import clickhouse
import old_clickhouse
import ports
import postgres
from process import CannotRun
from zookeeper import ZooKeeper

STATE = "servers.json"


class Servers:
    """All servers of one folder. Every node is a `process.Server`; ClickHouse and PostgreSQL also have `sql`."""

    def __init__(self, folder, plan):
        self.folder, self.plan = pathlib.Path(folder).resolve(), plan
        self.zookeeper, self.single, self.old, self.shards, self.postgres = None, None, None, [], []
        self.watcher = None
        self._build()

    @classmethod
    def up(cls, folder, single=False, cluster=False, pg=False, pair=False, old=False, shards=2, replicas=2, disks=None, stay=False):
        """Starts them. `disks`: the size of a tmpfs for the data of these nodes, for example {"s1r1": "64m"}.
        They end with this process, also if it is killed, unless they are told to stay."""
        folder = pathlib.Path(folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CannotRun(f"{folder} is not empty; the servers need a folder of their own")
        folder.chmod(0o711)  # PostgreSQL runs as another user, who has to reach its folder
        plan = {
            "single": single, "shards": shards if cluster else 0, "replicas": replicas, "postgres": 2 if pair else int(pg or pair),
            "old": old, "disks": disks or {}, "ports": {},
        }
        servers = cls(folder, plan)
        if not stay:
            watch = [sys.executable, __file__, folder, "watch", str(os.getpid())]
            servers.watcher = subprocess.Popen(watch, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            servers._start()
        except BaseException:
            servers.down(keep=True)
            raise
        return servers

    @classmethod
    def open(cls, folder):
        """Servers that another process started."""
        try:
            plan = json.loads((pathlib.Path(folder) / STATE).read_text())
        except FileNotFoundError:
            raise CannotRun(f"no servers were started in {folder}") from None
        return cls(folder, plan)

    def _port(self, name):
        if name not in self.plan["ports"]:
            self.plan["ports"][name] = ports.reserve(self.folder)
        return self.plan["ports"][name]

    def _build(self):
        plan, library = self.plan, self.folder / "part_hash.so"
        if plan["single"]:
            self.single = self._clickhouse("single", library)
        if plan["old"]:
            self.old = old_clickhouse.OldClickHouse(self.folder / "old", self._port("old-http"), self._port("old-native"))
        if plan["shards"]:
            self.zookeeper = ZooKeeper(self.folder / "zk", self._port("zk"))
            names = [
                [f"s{shard}r{replica}" for replica in range(1, plan["replicas"] + 1)] for shard in range(1, plan["shards"] + 1)
            ]
            cluster = [[(name, self._port(f"{name}-native")) for name in shard] for shard in names]
            self.shards = [
                [self._clickhouse(name, library, number, cluster) for name in shard] for number, shard in enumerate(names, 1)
            ]
        for number in range(1, plan["postgres"] + 1):
            name = f"pg{number}"
            primary = self.postgres[0] if self.postgres else None
            self.postgres.append(postgres.Postgres(name, self.folder / name, self._port(name), primary))
        (self.folder / STATE).write_text(json.dumps(self.plan))

    def _clickhouse(self, name, library, shard=None, cluster=()):
        kinds = ("http", "native", "interserver") if cluster else ("http", "native")
        return clickhouse.Node(
            name, self.folder / name, {kind: self._port(f"{name}-{kind}") for kind in kinds}, library, shard, cluster,
            self.zookeeper.port if cluster else None, self.plan["disks"].get(name),
        )

    @property
    def replicas(self):
        """All nodes of the cluster."""
        return [node for shard in self.shards for node in shard]

    @property
    def nodes(self):
        alone = [server for server in (self.zookeeper, self.single, self.old) if server]
        return [*alone, *self.replicas, *self.postgres]

    def node(self, name):
        for node in self.nodes:
            if node.name == name:
                return node
        raise CannotRun(f"no node {name}; there are: {' '.join(node.name for node in self.nodes)}")

    def _start(self):
        """ZooKeeper, ClickHouse and PostgreSQL at the same time: each mostly waits for the disk."""
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(self._start_clickhouse), pool.submit(self._start_postgres)]:
                started.result()

    def _start_clickhouse(self):
        nodes = [node for node in (self.single, self.old, *self.replicas) if node]
        if self.single or self.replicas:
            clickhouse.hash_library(self.folder)
        for server in [*([self.zookeeper] if self.zookeeper else []), *nodes]:
            server.prepare()
        if self.zookeeper:
            self.zookeeper.start()
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait_ready()

    def _start_postgres(self):
        if not self.postgres:
            return
        primary, *standbys = self.postgres
        primary.prepare()
        primary.start()
        primary.create_user()
        for standby in standbys:
            standby.prepare()
            standby.copy_of_primary()
            standby.start()
            primary.wait_for_standby(standby)

    def promote(self):
        """The standby becomes the primary. The old one is killed first if it still runs."""
        primary, standby = self.postgres
        primary.kill()
        standby.promote()

    def rejoin(self):
        """After `promote`: the old primary becomes the synchronous standby of the new one."""
        old, new = self.postgres
        shutil.rmtree(old.data)
        old.primary = new
        old.copy_of_primary()
        old.start()
        new.wait_for_standby(old)
        self.postgres = [new, old]

    def environment(self):
        values = {}
        if self.single:
            values["MSGCUBE_TEST_CLICKHOUSE_SINGLE"] = self.single.url
        if self.old:
            values["MSGCUBE_TEST_CLICKHOUSE_OLD"] = self.old.url
        if self.shards:
            values["MSGCUBE_TEST_CLICKHOUSE_CLUSTER"] = ",".join(node.url for node in self.replicas)
            values["MSGCUBE_TEST_CLICKHOUSE_CLUSTER_NAME"] = clickhouse.CLUSTER
            values["MSGCUBE_TEST_CLICKHOUSE_SHARDS"] = str(len(self.shards))
        if self.single or self.shards:
            values["MSGCUBE_TEST_CLICKHOUSE_USER"] = clickhouse.USER
            values["MSGCUBE_TEST_CLICKHOUSE_PASSWORD"] = clickhouse.PASSWORD
        if self.postgres:
            values["MSGCUBE_TEST_POSTGRES"] = postgres.url(self.postgres)
        return values

    def down(self, keep=False):
        """Ends all, also those that are paused, and removes the folder unless it is kept."""
        for node in reversed(self.nodes):
            node.close()
        ports.release(self.folder)
        if self.watcher:
            self.watcher.kill()
            self.watcher.wait()
        if not keep:
            shutil.rmtree(self.folder)

    close = down

    def last_words(self):
        return "".join(f"\n{node.name}, {node.state()}, said last:\n{node.last_words()}" for node in self.nodes)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.last_words(), file=sys.stderr)
        self.down()


def options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("single", "cluster", "postgres", "pair", "old"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--disk", action="append", default=[])
    chosen = parser.parse_args(arguments)
    everything = not (chosen.single or chosen.cluster or chosen.postgres or chosen.pair or chosen.old)
    return {
        "single": chosen.single or everything, "cluster": chosen.cluster or everything, "pg": chosen.postgres or everything,
        "pair": chosen.pair, "old": chosen.old or (everything and bool(old_clickhouse.installed())),
        "shards": chosen.shards, "replicas": chosen.replicas,
        "disks": dict(disk.split("=", 1) for disk in chosen.disk),
    }


def up(folder, arguments, stay):
    began = time.monotonic()
    servers = Servers.up(folder, stay=stay, **options(arguments))
    print(f"up in {time.monotonic() - began:.1f} s", file=sys.stderr)
    return servers


def main(arguments):
    if len(arguments) < 2 or arguments[1].startswith("-"):
        raise SystemExit(__doc__)
    folder, command, *rest = arguments
    if command == "up":
        print_environment(up(folder, rest, stay=True))
        return 0
    if command == "run":
        split = rest.index("--")
        with up(folder, rest[:split], stay=False) as servers:
            return subprocess.run(rest[split + 1:], env={**os.environ, **servers.environment()}).returncode
    if command == "watch":
        return watch(pathlib.Path(folder), int(rest[0]))
    servers = Servers.open(folder)
    if command == "env":
        print_environment(servers)
    elif command == "status":
        for node in servers.nodes:
            print(node.name, node.state(), f"pid={node.pid()}")
    elif command in ("down", "promote"):
        getattr(servers, command)()
    elif command in ("start", "stop", "kill", "pause", "resume"):
        getattr(servers.node(rest[0]), command)()
    elif command == "sql":
        print(servers.node(rest[0]).sql(rest[1]))
    else:
        raise SystemExit(__doc__)
    return 0


def watch(folder, pid):
    """Waits until the process ends, and then ends the servers that it left."""
    try:
        select.select([os.pidfd_open(pid)], [], [])
    except ProcessLookupError:
        pass
    if (folder / STATE).exists():
        Servers.open(folder).down()
    return 0


def print_environment(servers):
    for name, value in servers.environment().items():
        print(f"{name}={value}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `run` ends its servers
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRun as error:
        sys.exit(str(error))
