"""PostgreSQL's primary and msgcube's own processes fail while others go on. test_process_faults.py BINARY [CASE]"""

import json
import os
import random
import re
import signal
import sys
import threading
import time
from contextlib import suppress

from several import APPID, SECRET, Several, skip_unless_built, up  # first: with it tests/front can be imported

from cases import case, run
from load import Load
from program import until

CYCLES = int(os.environ.get("MSGCUBE_FAULT_CYCLES", "1"))
PAUSE_SECONDS = 30
# A process that holds a turn loses it after 3 s.
TURN_SECONDS = 15
OPEN_TURNS = """SELECT count(*) FROM pg_stat_activity WHERE application_name = 'msgcube' AND state = 'idle in transaction'
AND state_change < clock_timestamp() - interval '{} s'"""


@case
def postgresqls_primary_is_killed_and_its_standby_promoted(scene):
    servers = up(scene, single=True)
    load = Load(Several(scene, servers))
    load.more()
    for _ in range(CYCLES):
        with load.fault():
            servers.postgres[0].kill()
            time.sleep(random.uniform(0, 2))
            servers.promote()
        load.more()
        # Until the new standby is there, a commit waits for it. That can take long enough for a gap.
        with load.fault():
            servers.rejoin()
        load.more()
    load.finish(CYCLES)


@case
def the_primary_hangs_and_its_standby_is_promoted(scene):
    """New connections to the old primary wait, and what it says on old ones is not true any more."""
    servers = up(scene, single=True)
    load = Load(Several(scene, servers))
    load.more()
    old, new = servers.postgres
    with load.fault():
        old.process.send_signal(signal.SIGSTOP)
        new.promote()
        load.more(60, seconds=90)
    old.kill()
    servers.postgres.reverse()
    load.more()
    load.finish(1)


@case
def a_former_primary_comes_back(scene):
    """It takes writes, stands first in the address, and knows nothing of what was decided since."""
    servers = up(scene, single=True)
    several = Several(scene, servers)
    load = Load(several)
    load.more()
    old = servers.postgres[0]
    with load.fault():
        servers.promote()
        load.more()
        old.start()
        load.more()
        for program in several.programs:
            load.away.add(program)
            program.kill()
            program.start()
            several.wait_ready()
            load.away.discard(program)
            load.more()
    assert old.sql("SELECT pg_is_in_recovery()") == "f", "the old primary does not take writes: the test tests nothing"
    servers.postgres.reverse()
    load.finish(1)


@case
def the_only_standby_is_away(scene):
    """Nothing can be decided meanwhile, and soon nothing is answered."""
    servers = up(scene, single=True)
    load = Load(Several(scene, servers))
    load.more()
    standby = servers.postgres[1]
    with load.fault():
        standby.pause()
        until("the processes answer nothing", lambda: not any(map(load._answers, load.several.programs)))
        standby.kill()
        standby.start()
    load.more()
    load.finish(1)


@case
def postgresql_is_restarted(scene):
    servers = up(scene, single=True)
    load = Load(Several(scene, servers))
    for number in range(CYCLES):
        load.more()
        with load.fault():
            (servers.postgres[0].kill if number % 2 else servers.postgres[0].stop)()
            time.sleep(random.uniform(0, 4))
            servers.postgres[0].start()
    load.more()
    load.finish(CYCLES)


@case
def a_process_is_killed_with_a_batch_in_flight(scene):
    several = Several(scene, up(scene, cluster=True))
    load = Load(several)
    for number in range(CYCLES * 3):
        load.more()
        victim = several.programs[number % 3]
        with load.fault():
            victim.kill()
            load.more(20)  # the others go on
            victim.start()
    load.finish(CYCLES * 3, gap=True)


@case
def a_process_is_stopped_for_half_a_minute_with_a_turn_in_hand(scene):
    servers = up(scene, cluster=True)
    several = Several(scene, servers)
    load = Load(several)
    for number in range(min(CYCLES, 3)):
        load.more()
        paused, other = several.programs[number % 3], several.programs[(number + 1) % 3]
        with load.fault():
            tries = _pause_with_a_turn(servers, paused)
            began = time.monotonic()
            until("another process decides", lambda: _decides(other), TURN_SECONDS)
            print(f"a turn was in hand at try {tries}; another process decided after {time.monotonic() - began:.1f} s")
            load.more(20)  # the others go on
            time.sleep(max(0, began + PAUSE_SECONDS - time.monotonic()))
            paused.process.send_signal(signal.SIGCONT)
            until("it decides again", lambda: _decides(paused))
    load.more()
    load.finish(min(CYCLES, 3), gap=True)


def _decides(program):
    """Asks for a new access token, which is decided in a turn."""
    with suppress(OSError):
        target = f"/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}"
        answer = program.ask("GET", target, timeout=TURN_SECONDS)
        return answer is not None and "access_token" in json.loads(answer.body)
    return False


def _pause_with_a_turn(servers, program):
    """Stops the process at a moment when it holds a turn. Returns how many tries that took."""
    ends = threading.Event()

    def decide():
        while not ends.is_set():
            _decides(program)

    threads = [threading.Thread(target=decide, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 1000):
            program.process.send_signal(signal.SIGSTOP)
            if servers.postgres[0].sql(OPEN_TURNS.format(0)) != "0":
                time.sleep(0.4)  # the turns of the others end meanwhile
                if servers.postgres[0].sql(OPEN_TURNS.format(0.3)) != "0":
                    return number
            program.process.send_signal(signal.SIGCONT)
            time.sleep(random.uniform(0.005, 0.05))
    finally:
        ends.set()
    raise AssertionError("the process was never stopped with a turn in hand")


@case
def the_clocks_of_the_processes_are_ten_seconds_apart(scene):
    several = Several(scene, up(scene, cluster=True), ahead=[0, 10, -10])
    load = Load(several)
    load.more(300)
    time.sleep(15)  # longer than a process may be silent
    load.more(20)
    load.finish(1, gap=False)
    for program in several.programs[1:]:
        said = re.search(r"the clock of this machine is \d+ s (ahead of|behind) PostgreSQL's", program.log())
        assert said, "a process whose clock is wrong says so"


@case
def a_rolling_restart_makes_no_gap(scene):
    """As with a load balancer: a process gets no new requests, ends, and starts again while the others serve."""
    several = Several(scene, up(scene, cluster=True))
    load = Load(several)
    for program in several.programs * CYCLES:
        load.more(50)
        load.away.add(program)
        time.sleep(1)
        program.stop()
        load.more(20)
        program.start()
        several.wait_ready()
        load.away.discard(program)
    load.more(50)
    load.finish(CYCLES * 3, gap=False)


skip_unless_built(sys.argv[1])
run(at_once=1)
