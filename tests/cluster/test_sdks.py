"""The unmodified SDKs of tests/sdk, which ask three processes on a cluster in turn. test_sdks.py BINARY [CASE]"""

import json
import pathlib
import subprocess
import sys

from several import skip_unless_built, store, up  # first: with it tests/front can be imported

import postgres
from clickhouse import SDK_DATABASES
from cases import case, run

HERE = pathlib.Path(__file__).resolve().parent


@case
def the_sdks_get_the_same_answers_from_three_processes_in_turn(scene):
    servers = up(scene, cluster=True, pg=True)
    stores = {}
    for name in SDK_DATABASES:
        servers.postgres[0].sql(f"CREATE DATABASE {name} OWNER {postgres.USER}")
        state = postgres.url(servers.postgres).removesuffix(postgres.DATABASE) + name
        stores[name] = store(servers, state=state, database=name)
    (scene.folder / "stores.json").write_text(json.dumps(stores))
    program = scene.folder / "three"
    arguments = [sys.executable, HERE / "three.py", scene.folder / "stores.json", scene.binary]
    program.write_text("#!/bin/sh\nexec " + " ".join(f"'{argument}'" for argument in arguments) + ' "$@"\n')
    program.chmod(0o755)
    done = subprocess.run([HERE.parent / "sdk/run.sh", program], timeout=1200)
    assert done.returncode == 0, "see above"


skip_unless_built(sys.argv[1])
run(at_once=1)
