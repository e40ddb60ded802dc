"""Tests the servers of the tests themselves: what the fault tests rely on is true. test_servers.py BINARY [CASE]
The program is not used."""

import signal
import socket
import threading
import time

from servers import Servers  # first: with it tests/front can be imported

import proxy
from cases import case, run
from clickhouse import CannotMount, Refused, may_mount
from postgres import SqlError
from program import until

QUORUM = {
    "insert_quorum": 2, "insert_quorum_parallel": 1, "insert_quorum_timeout": 3500, "insert_deduplicate": 0, "async_insert": 0,
}
TABLE = """
CREATE TABLE raw (user String, id UInt64, first UInt64)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/{cluster}/test/{shard}/raw', '{replica}', first)
ORDER BY (user, id) SETTINGS replicated_max_ratio_of_wrong_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
"""
BATCH = 200


def up(scene, **kinds):
    scene.folder.chmod(0o711)  # PostgreSQL runs as another user
    return scene.started(Servers.up(scene.folder / "servers", **kinds))


def one_shard(scene, **more):
    """Two replicas with the table."""
    servers = up(scene, cluster=True, shards=1, **more)
    for node in servers.replicas:
        node.sql(TABLE)
    return servers


def insert(nodes, first, settings=QUORUM, seconds=60):
    """A batch, sent to one node after the other until it is acknowledged."""
    rows = "".join(f"u{number % 50}\t{number}\t{number}\n" for number in range(first, first + BATCH)).encode()
    end = time.monotonic() + seconds
    while True:
        for node in nodes:
            try:
                node.sql("INSERT INTO raw FORMAT TSV", rows, seconds=10, **settings)
                return
            except (Refused, OSError):
                assert time.monotonic() < end, f"not acknowledged within {seconds} s"
                time.sleep(0.05)


def sync(node):
    node.sql("SYSTEM SYNC REPLICA raw LIGHTWEIGHT", seconds=20, receive_timeout=5)


def count(node):
    return int(node.sql("SELECT count() FROM raw FINAL"))


def refusal(action):
    """ClickHouse's number of the error. Fails if there was none."""
    try:
        action()
    except Refused as refused:
        return refused.code
    raise AssertionError("this had to be refused")


@case
def acknowledged_inserts_survive_a_replica_that_is_killed_again_and_again(scene):
    servers = one_shard(scene)
    done, ends = [0], threading.Event()

    def send():
        while not ends.is_set():
            insert(servers.replicas, done[0] * BATCH)
            done[0] += 1

    sender = threading.Thread(target=send)
    sender.start()
    for round_number in range(4):
        victim = servers.replicas[round_number % 2]
        reached = done[0] + 3
        until("some batches", lambda: done[0] >= reached)
        victim.kill()
        time.sleep(0.3)
        victim.start()
    ends.set()
    sender.join()
    for node in servers.replicas:
        until("the replica catches up", lambda: _synced(node))
        assert count(node) == done[0] * BATCH, (node.name, count(node), done[0] * BATCH)
    print(f"{done[0]} batches acknowledged through 4 kills, all on both replicas")


def _synced(node):
    try:
        sync(node)
        return True
    except (Refused, OSError):
        return False


@case
def a_replica_that_does_not_fetch_is_noticed_by_sync_and_only_by_sync(scene):
    servers = one_shard(scene)
    ahead, behind = servers.replicas
    behind.sql("SYSTEM STOP FETCHES raw")
    ahead.sql("INSERT INTO raw VALUES ('u1', 1, 1)", insert_deduplicate=0)
    assert count(behind) == 0, "it did not fetch, and answers short without an error"
    code = refusal(lambda: sync(behind))
    assert code in (159, 408), code
    sync(ahead)
    assert count(ahead) == 1
    assert refusal(lambda: ahead.sql("INSERT INTO raw VALUES ('u1', 2, 1)", **{**QUORUM, "insert_quorum_timeout": 1000})) == 319
    behind.sql("SYSTEM START FETCHES raw")
    until("it catches up", lambda: _synced(behind))
    assert count(behind) == 2, count(behind)  # the unacknowledged row, too


@case
def without_zookeeper_inserts_and_syncs_are_refused_and_later_go_on(scene):
    servers = one_shard(scene)
    node = servers.replicas[0]
    insert([node], 0)
    servers.zookeeper.kill()
    code = refusal(lambda: until("refused", lambda: sync(node), 30))
    assert code in (242, 999, 225), code
    code = refusal(lambda: node.sql("INSERT INTO raw VALUES ('u1', 1, 1)", insert_keeper_max_retries=2, **QUORUM))
    assert code in (242, 999, 225, 319), code
    servers.zookeeper.start()
    insert(servers.replicas, BATCH)
    for node in servers.replicas:
        until("it catches up", lambda: _synced(node))
        assert count(node) >= 2 * BATCH, count(node)


@case
def a_paused_node_says_nothing_and_goes_on_later(scene):
    node = up(scene, single=True).single
    node.pause()
    assert node.state() == "starting or stuck", node.state()
    try:
        node.sql("SELECT 1", seconds=1)
        raise AssertionError("a paused node answered")
    except OSError:
        pass
    node.resume()
    assert node.sql("SELECT 1") == "1"


@case
def a_full_disk_refuses_an_insert_and_takes_it_when_there_is_room(scene):
    try:
        node = up(scene, single=True, disks={"single": "64m"}).single
    except CannotMount as reason:
        assert not may_mount(), f"the full disk was not tested, but could be: {reason}"
        print(f"THE FULL DISK IS NOT TESTED: {reason}")
        return
    node.sql("CREATE TABLE raw (user String, id UInt64, first UInt64) ENGINE = ReplacingMergeTree(first) ORDER BY (user, id)")
    insert([node], 0, {})
    node.fill()
    assert refusal(lambda: node.sql("INSERT INTO raw SELECT 'u', number + 1000000, 1 FROM numbers(100000)")) in (75, 243)
    assert count(node) == BATCH
    node.make_room()
    insert([node], BATCH, {})
    assert count(node) == 2 * BATCH


@case
def the_proxy_cuts_an_insert_and_an_answer_where_it_is_told(scene):
    node = up(scene, single=True).single
    node.sql("CREATE TABLE raw (user String, id UInt64, first UInt64) ENGINE = ReplacingMergeTree(first) ORDER BY (user, id)")
    between = scene.started(proxy.Proxy(node.ports["http"]))
    direct, node.url = node.url, between.url
    insert([node], 0, {})
    between.cut_request(after=1000, when=b"INSERT")
    assert _fails(lambda: node.sql("INSERT INTO raw FORMAT TSV", b"u\t1000000\t1\n" * 10_000)), "the insert was not cut"
    between.cut_answer(after=20_000, when=b"POST")
    assert _fails(lambda: node.sql("SELECT number FROM numbers(100000)")), "the answer was not cut"
    assert between.cuts == 2, between.cuts
    assert node.sql("SELECT 1") == "1"
    between.hold()
    assert _fails(lambda: node.sql("SELECT 1", seconds=1)), "nothing passes"
    between.let_go()
    assert node.sql("SELECT 1") == "1"
    node.url = direct
    assert count(node) == BATCH, "nothing of the insert that was cut"


def _fails(action):
    try:
        action()
    except (Refused, OSError, EOFError) as error:
        print(f"as wanted: {type(error).__name__}")
        return True
    except Exception as error:
        if type(error).__name__ == "IncompleteRead":
            return True
        raise
    return False


@case
def postgresql_fails_over_without_losing_a_committed_row(scene):
    servers = up(scene, pair=True)
    primary, standby = servers.postgres
    assert primary.sql("SHOW fsync") == standby.sql("SHOW fsync") == "on"
    primary.sql("CREATE TABLE t (n int PRIMARY KEY)")
    committed, ends = [], threading.Event()

    def write(start):
        number = start
        while not ends.is_set():
            try:
                primary.sql(f"INSERT INTO t VALUES ({number})")
                committed.append(number)
            except SqlError:
                ends.wait(0.05)
            number += 1

    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 1_000_000, 2_000_000)]
    for writer in writers:
        writer.start()
    until("some commits", lambda: len(committed) > 60)
    servers.promote()
    ends.set()
    for writer in writers:
        writer.join()
    kept = {int(number) for number in standby.sql("SELECT n FROM t").split()}
    lost = set(committed) - kept
    assert not lost, f"committed and lost: {sorted(lost)[:10]}"
    standby.sql("INSERT INTO t VALUES (-1)")
    servers.rejoin()
    servers.promote()
    assert primary.sql("SELECT count(*) FROM t WHERE n = -1") == "1", "back on the first one"
    print(f"{len(committed)} committed rows, all on the new primary")


@case
def a_commit_waits_for_the_standby(scene):
    servers = up(scene, pair=True)
    primary, standby = servers.postgres
    primary.sql("CREATE TABLE t (n int)")
    standby.pause()
    done = threading.Event()
    writer = threading.Thread(target=lambda: (primary.sql("INSERT INTO t VALUES (1)"), done.set()))
    writer.start()
    assert not done.wait(2), "committed without the standby"
    standby.resume()
    assert done.wait(30), "not committed after the standby went on"
    writer.join()
    assert standby.state() == "ready"


@case
def two_runs_at_once_have_their_own_ports_and_both_end(scene):
    scene.folder.chmod(0o711)
    both = [scene.started(Servers.up(scene.folder / name, single=True, pg=True)) for name in ("one", "two")]
    used = [set(servers.plan["ports"].values()) for servers in both]
    assert not used[0] & used[1], used
    pids = [node.pid() for servers in both for node in servers.nodes]
    for servers in both:
        servers.node("pg1").signal(signal.SIGCONT)  # a live process
        servers.down()
    scene.others.clear()
    assert not (scene.folder / "one").exists()
    for port in used[0] | used[1]:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} is still served"
    assert len(pids) == 4


run(at_once=2)
