"""ClickHouse, ZooKeeper and the network fail while several processes take callbacks and answer. test_faults.py BINARY [CASE]
MSGCUBE_FAULT_CYCLES says how often each fault happens (1)."""

import datetime
import json
import os
import random
import select
import socket
import sys
import time

from several import APPID, DATABASE, SECRET, Several, skip_unless_built, up  # first: with it tests/front can be imported

from cases import case, run
from clickhouse import CannotMount, Refused, may_mount
from load import Load
from program import until
from proxy import Proxy

CYCLES = int(os.environ.get("MSGCUBE_FAULT_CYCLES", "1"))


def fault(scene, servers, cycle, cycles=CYCLES, gap=None, **options):
    """Does `cycle` under load, again and again, and checks everything in the end."""
    load = Load(Several(scene, servers, **options))
    load.more()
    for number in range(cycles):
        with load.fault():
            cycle(number, load)
        load.more()
    load.finish(cycles, gap)
    return load


@case
def a_replica_is_killed_during_inserts_and_queries(scene):
    servers = up(scene, cluster=True)

    def cycle(number, _):
        victim = servers.replicas[number % len(servers.replicas)]
        victim.kill()
        # An insert waits 3.5 s for its quorum, a callback up to 5 s.
        time.sleep(random.choice((0.2, 1, 6)))
        victim.start()

    fault(scene, servers, cycle, max(CYCLES, 4))


@case
def with_three_replicas_inserts_go_on_while_one_is_killed(scene):
    servers = up(scene, cluster=True, shards=1, replicas=3)

    def cycle(number, load):
        victim = servers.replicas[number % 3]
        victim.kill()
        load.more()
        victim.start()

    fault(scene, servers, cycle)


@case
def a_whole_shard_is_away(scene):
    servers = up(scene, cluster=True)

    def cycle(number, load):
        shard = servers.shards[number % 2]
        for node in shard:
            node.kill()
        # Callbacks wait up to 4.9 s for a commit. If each try left an event of the service, there would be too many.
        time.sleep((15, 2)[number % 2])
        _loud(load)
        for node in shard:
            node.launch()
        for node in shard:
            node.wait_ready()

    fault(scene, servers, cycle)


def _loud(load):
    """Now every question about an account whose users live on all shards gets an error."""
    for program in load.several.programs:
        for question in (load._statistics, load._interface):
            try:
                figures = question(program)
            except OSError:
                figures = None
            if figures is not None:
                load.wrong.append(f"{program.address} answered {figures} while a whole shard was away")


@case
def questions_that_wait_for_a_shard_hold_up_nothing_else(scene):
    """They are more than a process may have threads."""
    servers = up(scene, cluster=True, shards=1)
    program = Several(scene, servers, count=1).programs[0]
    target = f"/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}"
    token = json.loads(program.ask("GET", target).body)["access_token"]
    for node in servers.replicas:
        node.pause()
    day = (datetime.date.today() - datetime.timedelta(days=10)).isoformat()
    body = json.dumps({"begin_date": day, "end_date": day})
    question = f"POST /datacube/getupstreammsg?access_token={token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    waiting = [socket.create_connection(program.address.split(":")) for _ in range(700)]
    for connection in waiting:
        connection.sendall(question.encode())
    threads = 0
    while not select.select(waiting, [], [], 0.05)[0]:  # until the first one is answered with an error
        threads = max(threads, program.threads())
    assert threads < 100, f"{threads} threads for {len(waiting)} questions"
    for path in ("/healthz", target):  # without and with what the processes share
        answer = program.ask("GET", path)
        assert answer.status == 200, answer
    for node in servers.replicas:
        node.resume()
    for connection in waiting:
        assert connection.recv(12) == b"HTTP/1.1 200"  # rows, or errcode -1
        connection.close()


@case
def one_server_without_replication_is_killed(scene):
    servers = up(scene, single=True)

    def cycle(_, __):
        servers.single.kill()
        time.sleep(random.uniform(0.1, 2))
        servers.single.start()

    fault(scene, servers, cycle)


@case
def zookeeper_is_away_and_comes_back(scene):
    servers = up(scene, cluster=True)

    def cycle(number, _):
        servers.zookeeper.kill()
        time.sleep((15, 1, 8)[number % 3])  # longer and shorter than a session
        servers.zookeeper.start()

    fault(scene, servers, cycle)


@case
def a_replica_does_not_fetch(scene):
    servers = up(scene, cluster=True, shards=1, replicas=3)

    def cycle(number, load):
        behind = servers.replicas[number % 3]
        behind.sql(f"SYSTEM STOP FETCHES {DATABASE}.raw")
        load.more()
        rows = int(behind.sql(f"SELECT count() FROM {DATABASE}.raw"))
        load.more()
        behind.sql(f"SYSTEM START FETCHES {DATABASE}.raw")
        print(f"{behind.name} had {rows} rows while {load.messages.size()} messages were acknowledged")

    fault(scene, servers, cycle)


@case
def a_replica_is_paused(scene):
    servers = up(scene, cluster=True)

    def cycle(number, _):
        node = servers.replicas[number % len(servers.replicas)]
        node.pause()
        time.sleep(8)
        node.resume()

    fault(scene, servers, cycle)


@case
def the_disk_of_a_replica_is_full(scene):
    try:
        servers = up(scene, cluster=True, disks={"s1r1": "192m"})
    except CannotMount as reason:
        assert not may_mount(), f"the full disk was not tested, but could be: {reason}"
        print(f"THE FULL DISK IS NOT TESTED: {reason}")
        return
    node = servers.node("s1r1")

    def cycle(number, _):
        node.fill(leave=(0, 200_000, 2_000_000)[number % 3])
        time.sleep(5)
        node.make_room()

    fault(scene, servers, cycle)


@case
def connections_to_clickhouse_are_cut_in_the_middle(scene):
    servers = up(scene, cluster=True)
    proxies = [scene.started(Proxy(node.ports["http"])) for node in servers.replicas]

    def cycle(number, _):
        before = sum(proxy.cuts for proxy in proxies)
        for proxy in proxies:
            proxy.cut_request(random.choice((0, 50, 400, 2000)), when=b"INSERT")
            proxy.cut_answer(random.choice((0, 100, 350, 450)), when=b"SELECT")
            proxy.cut_answer(random.choice((0, 100)), when=b"INSERT")
        until("connections were cut", lambda: sum(proxy.cuts for proxy in proxies) >= before + 6)

    fault(scene, servers, cycle, CYCLES * 5, urls=[proxy.url for proxy in proxies])
    print(f"{sum(proxy.cuts for proxy in proxies)} connections cut")


@case
def the_network_to_a_replica_is_silent(scene):
    servers = up(scene, cluster=True)
    proxies = [scene.started(Proxy(node.ports["http"])) for node in servers.replicas]

    def cycle(number, _):
        proxies[number % len(proxies)].hold()
        time.sleep(8)
        proxies[number % len(proxies)].let_go()

    fault(scene, servers, cycle, urls=[proxy.url for proxy in proxies])


@case
def a_replica_is_rebuilt_from_nothing(scene):
    """Its tables are made again by `store init`, and it fetches all parts while it is asked."""
    servers = up(scene, cluster=True, shards=1)
    victim = servers.replicas[1]

    def cycle(_, load):
        victim.kill()
        victim.clear()
        victim.start()
        dropped = servers.replicas[0].sql(
            f"SELECT zookeeper_path FROM system.replicas WHERE database = '{DATABASE}' AND table = 'raw'"
        )
        for path in (dropped, dropped.removesuffix("raw") + "aside"):
            until("the old replica is forgotten", lambda: _drop_replica(servers.replicas[0], victim.name, path))
        load.several.command(scene.binary, "init", scene.folder / "store.toml")

    fault(scene, servers, cycle, 1)


def _drop_replica(node, name, path):
    """Refused as long as its last session is not over."""
    try:
        node.sql(f"SYSTEM DROP REPLICA '{name}' FROM ZKPATH '{path}'")
        return True
    except Refused:
        return False


skip_unless_built(sys.argv[1])
run(at_once=1)
