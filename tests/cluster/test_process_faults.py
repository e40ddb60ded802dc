"""PostgreSQL's primary and msgcube's own processes fail while others go on. test_process_faults.py BINARY [CASE]"""

import os
import random
import signal
import sys
import time

from several import Load, Several, skip_unless_built, up  # first: with it tests/front can be imported

from cases import case, run

CYCLES = int(os.environ.get("MSGCUBE_FAULT_CYCLES", "3"))
PAUSE_SECONDS = 30


@case
def postgresqls_primary_is_killed_and_its_standby_promoted(scene):
    servers = up(scene, single=True, pair=True)
    load = Load(Several(scene, servers))
    load.more()
    for _ in range(CYCLES):
        servers.postgres[0].kill()
        time.sleep(random.uniform(0, 2))
        servers.promote()
        load.more()
        servers.rejoin()
        load.more()
    load.finish(CYCLES)


@case
def postgresql_is_restarted(scene):
    servers = up(scene, single=True, pg=True)
    load = Load(Several(scene, servers))
    for number in range(CYCLES):
        load.more()
        (servers.postgres[0].kill if number % 2 else servers.postgres[0].stop)()
        time.sleep(random.uniform(0, 4))
        servers.postgres[0].start()
    load.more()
    load.finish(CYCLES)


@case
def a_process_is_killed_with_a_batch_in_flight(scene):
    several = Several(scene, up(scene, cluster=True, pg=True))
    load = Load(several)
    for number in range(CYCLES * 3):
        load.more()
        victim = several.programs[number % 3]
        victim.kill()
        load.more(20)  # the others go on
        victim.start()
    load.finish(CYCLES * 3)


@case
def a_process_is_stopped_for_half_a_minute(scene):
    several = Several(scene, up(scene, cluster=True, pg=True))
    load = Load(several)
    for number in range(min(CYCLES, 3)):
        load.more()
        paused = several.programs[number % 3]
        paused.process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + PAUSE_SECONDS
        load.more(20)  # the others go on: a turn that it held is lost after 3 s
        time.sleep(max(0, end - time.monotonic()))
        paused.process.send_signal(signal.SIGCONT)
    load.more()
    load.finish(min(CYCLES, 3))


@case
def the_clocks_of_the_processes_are_ten_seconds_apart(scene):
    several = Several(scene, up(scene, cluster=True, pg=True), ahead=[0, 10, -10])
    load = Load(several)
    load.more(1000)
    load.finish(1)
    for program in several.programs[1:]:
        assert "clock" in program.log(), "a process whose clock is wrong says so"


skip_unless_built(sys.argv[1])
run(at_once=1)
