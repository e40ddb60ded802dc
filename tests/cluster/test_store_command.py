"""`msgcube store init` and `store check` on real servers, and what other commands say with them. test_store_command.py BINARY [CASE]"""

import json
import subprocess
import sys

from several import DATABASE, Several, skip_unless_built, store, up  # first: with it tests/front can be imported

import clickhouse
import postgres
from cases import case, run
from program import ADMIN_KEY


def command(scene, *args):
    """Status, and all that was printed. No password may be in it."""
    done = subprocess.run([scene.binary, *args], capture_output=True, text=True, timeout=120, cwd=scene.folder)
    assert clickhouse.PASSWORD not in done.stdout + done.stderr, f"a password in {done}"
    return done.returncode, done.stdout, done.stderr


def config(scene, section, name="other.toml"):
    file = scene.folder / name
    file.write_text(f'listen = "127.0.0.1:0"\nadmin_key = "{ADMIN_KEY}"\ndata_dir = "{name}.data"\n{section}')
    return file


def found(said, id):
    return [finding for finding in said["findings"] if finding["id"] == id]


@case
def init_may_be_repeated_and_check_finds_nothing_bad(scene):
    servers = up(scene, cluster=True, pair=True)
    file = config(scene, store(servers))
    for expected in ("the tables were made", "the tables were there already"):
        status, out, err = command(scene, "store", "init", "--config", file)
        assert status == 0 and expected in out and "shards: 2" in out and not err, (out, err)
        assert "no replication" not in out, out
    status, out, err = command(scene, "store", "check", "--json", "--config", file)
    said = json.loads(out)
    assert status == 0 and said["problems"] == 0, out
    for node in servers.replicas:
        assert any(node.url in finding["found"] for finding in found(said, "clickhouse")), f"{node.url} is not in {out}"
    assert any("synchronous standby" in finding["found"] for finding in found(said, "postgresql")), out


@case
def without_replication_init_check_and_serve_say_so(scene):
    servers = up(scene, single=True, pg=True)
    scene_of_one = Several(scene, servers, count=1)
    file = scene.folder / "store.toml"
    _, out, _ = command(scene, "store", "init", "--config", file)
    assert "no replication" in out, out
    _, out, _ = command(scene, "store", "check", "--json", "--config", file)
    said = json.loads(out)
    assert [finding["state"] for finding in found(said, "replication")] == ["warning"], out
    standby = [finding for finding in found(said, "postgresql") if "synchronous_standby_names" in finding["found"]]
    assert [finding["state"] for finding in standby] == ["warning"], out
    log = scene_of_one.programs[0].log()
    assert "[store] names no cluster" in log and "synchronous_standby_names is empty" in log, log


@case
def what_is_only_for_a_data_folder_says_what_to_do_instead(scene):
    servers = up(scene, single=True, pg=True)
    program = Several(scene, servers, count=1).programs[0]
    args = ("--server", f"http://{program.address}", "--key", ADMIN_KEY)
    status, _, err = command(scene, "backup", scene.folder / "backup", *args)
    assert status == 1 and "back up ClickHouse and PostgreSQL with their own tools" in err, err
    status, _, err = command(scene, "verify", program.folder / "data")
    assert status == 1 and "msgcube store check" in err, err
    _, out, _ = command(scene, "doctor", "--json", "--no-post", "--config", program.folder / "msgcube.toml", *args[:2])
    said = json.loads(out)
    assert not found(said, "disk_space") and found(said, "clickhouse") and found(said, "postgresql"), out
    page = program.ask("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert page.status == 200, page


@case
def serve_does_not_start_before_init(scene):
    servers = up(scene, single=True, pg=True)
    status, _, err = command(scene, "serve", "--config", config(scene, store(servers)))
    assert status == 1 and "msgcube store init" in err, err


@case
def another_number_of_shards_is_refused(scene):
    servers = up(scene, single=True, cluster=True, pg=True)
    status, _, err = command(scene, "store", "init", "--config", config(scene, store(servers)))
    assert status == 0, err
    lines = {
        "kind": "clickhouse", "urls": [servers.single.url], "user": clickhouse.LIMITED_USER, "password": clickhouse.PASSWORD,
        "database": DATABASE, "state": postgres.url(servers.postgres),
    }
    section = "\n[store]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    file = config(scene, section, "single.toml")
    status, out, err = command(scene, "store", "init", "--config", file)
    assert status == 1 and "PostgreSQL at 127.0.0.1" in err and "shards" in err and not out, (out, err)
    status, _, err = command(scene, "serve", "--config", file)
    assert status == 1 and "shards" in err, err


@case
def servers_that_are_not_the_whole_cluster_are_refused(scene):
    servers = up(scene, cluster=True, pg=True)
    urls = [node.url for node in servers.shards[0]]
    status, out, err = command(scene, "store", "init", "--config", config(scene, store(servers, urls)))
    assert status == 1 and "ClickHouse is not prepared" in err and not out, (out, err)
    status, out, _ = command(scene, "store", "check", "--config", config(scene, store(servers, urls)))
    assert status == 1, out


skip_unless_built(sys.argv[1])
run(at_once=1)
