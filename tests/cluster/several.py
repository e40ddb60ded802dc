"""Several msgcube processes on one store."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from contextlib import suppress

import clickhouse
import postgres
from clickhouse import DATABASE
from program import ADMIN_KEY, until
from servers import Servers

APPID, SECRET, TOKEN = "wxseveral00000001", "secret-that-callers-use", "tokenOfTheFaultTests"
ACCOUNT = f'\n[[account]]\nappid = "{APPID}"\nsecret = "{SECRET}"\ntoken = "{TOKEN}"\n'
READY_SECONDS = 120


def skip_unless_built(binary):
    """Ends the test with the status of a skipped one if the program does not have the shared store."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "msgcube.toml"
        # Nobody listens there; without the feature it is not even tried.
        file.write_text('[store]\nkind = "clickhouse"\nurls = ["http://127.0.0.1:9"]\nstate = "postgres://127.0.0.1:9/x"\n')
        done = subprocess.run([binary, "store", "init", "--config", file], capture_output=True, text=True)
    if "--features clickhouse" in done.stderr:
        print(f"THE SHARED STORE IS NOT TESTED: {binary} is built without it (cargo's feature clickhouse)")
        sys.exit(77)


class Several:
    """`programs` are the processes. `urls`: the addresses of ClickHouse, if they are not those of the servers (proxies).
    `ahead`: for each process how many seconds its clock is ahead. `more` is added to the configuration."""

    def __init__(self, scene, servers, count=3, urls=None, state=None, ahead=None, more=""):
        self.servers = servers
        key = scene.folder / "msgcube.key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        config = f'data_key_file = "{key}"\n{ACCOUNT}{store(servers, urls, state)}{more}'
        file = scene.folder / "store.toml"
        file.write_text(f'listen = "127.0.0.1:0"\nadmin_key = "{ADMIN_KEY}"\n{config}')
        self.command(scene.binary, "init", file)
        self.command(scene.binary, "check", file)
        self.programs = [
            scene.msgcube(config, name="process", environment=clock(scene.folder, seconds)) for seconds in ahead or [0] * count
        ]
        self.wait_ready()

    def command(self, binary, name, file):
        done = subprocess.run([binary, "store", name, "--config", file], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"store {name}: {done.stdout}{done.stderr}"

    def wait_ready(self):
        for program in self.programs:
            until(f"{program.address} is ready", lambda: _ready(program), READY_SECONDS)

    def rows_of_replicas(self):
        """For each shard the messages on each of its replicas, after it caught up."""
        shards = self.servers.shards or [[self.servers.single]]
        counts = []
        for shard in shards:
            counts.append([])
            for node in shard:
                if self.servers.shards:
                    until(f"{node.name} catches up", lambda: _synced(node), READY_SECONDS)
                counts[-1].append(int(node.sql(f"SELECT count() FROM {DATABASE}.raw FINAL")))
        return counts


def store(servers, urls=None, state=None, database=DATABASE):
    """The section of the configuration."""
    nodes = servers.replicas or [servers.single]
    lines = {
        "kind": "clickhouse", "urls": urls or [node.url for node in nodes], "user": clickhouse.LIMITED_USER,
        "password": clickhouse.PASSWORD, "database": database, "state": state or postgres.url(servers.postgres),
    }
    if servers.shards:
        lines["cluster"] = clickhouse.CLUSTER
    return "\n[store]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())


def clock(folder, seconds_ahead):
    """The environment of a process whose clock is ahead."""
    if not seconds_ahead:
        return {}
    library = folder / "clock_ahead.so"
    clickhouse.compile_library(library, "clock_ahead.c")
    return {"LD_PRELOAD": str(library), "CLOCK_AHEAD_S": str(seconds_ahead)}


def up(scene, **kinds):
    """The servers of a case. PostgreSQL has a synchronous standby, except with `pg`."""
    scene.folder.chmod(0o711)  # PostgreSQL runs as another user
    return scene.started(Servers.up(scene.folder / "servers", **{"pair": "pg" not in kinds, **kinds}))


def _ready(program):
    with suppress(OSError):
        return (program.ask("GET", "/readyz", timeout=10) or [0])[0] == 200
    return False


def _synced(node):
    with suppress(clickhouse.Refused, OSError):
        node.sql(f"SYSTEM SYNC REPLICA {DATABASE}.raw LIGHTWEIGHT", receive_timeout=5)
        return True
    return False
