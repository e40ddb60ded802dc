#!/usr/bin/env bash
# Runs unmodified SDKs against the program: tests/sdk/run.sh BINARY. Needs .test-env/, which ./test makes.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
binary="$(realpath "${1:?usage: tests/sdk/run.sh BINARY}")"
python="$root/.test-env/venv/bin/python"
work="$(mktemp -d)"
servers=()

cleanup() {
  for server in "${servers[@]+"${servers[@]}"}"; do kill "$server" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

# A port on which a test listens later. It is outside the range that the system uses for connections.
free_port() {
  "$python" - <<'END'
import random, socket
while True:
    port = random.randrange(20000, 30000)
    try:
        socket.create_server(("127.0.0.1", port)).close()
        break
    except OSError:
        pass
print(port)
END
}

start() { # NAME PORT_1 PORT_2 OPTION...: sets `base` to the address of a new server, which writes to NAME.out and NAME.log
  local name="$1"
  sed "s/PORT_1/$2/; s/PORT_2/$3/" "$here/msgcube.toml" >"$work/$name.toml"
  shift 3
  : >"$work/$name.out" # must exist before the first look
  "$binary" serve --config "$work/$name.toml" --data-dir "$work/$name" "$@" >"$work/$name.out" 2>"$work/$name.log" &
  servers+=($!)
  for _ in $(seq 1000); do
    base="$(sed -n 's|^listening on \(http://[^ ]*\).*|\1|p' "$work/$name.out")"
    [ -z "$base" ] || return 0
    kill -0 $! 2>/dev/null || { cat "$work/$name.out" "$work/$name.log"; echo "the program ended" >&2; exit 1; }
    sleep 0.1
  done
  cat "$work/$name.out" "$work/$name.log"
  echo "the program printed no address" >&2
  exit 1
}

# wx-server-sdk signs with the clock of the machine, so it needs a server with that clock. That server pushes nothing.
start real_clock 9 9
real_clock_base="$base"
start data "$(free_port)" "$(free_port)" --now 2026-03-02T09:00:00+08:00

value() { # APPID NAME: a setting of an account or platform
  grep -A 6 "^appid = \"$1\"" "$work/data.toml" | sed -n "0,/^$2 = /s/^$2 = \"\(.*\)\"/\1/p"
}

drive() { # APPID COMPONENT COMMAND...: runs the command with that account and platform in the environment
  local appid="$1" component="$2" push
  shift 2
  push="$(value "$component" push_url)"
  push="${push#http://*:}"
  echo "$*"
  if ! MSGCUBE_TEST_BASE="$base" MSGCUBE_TEST_REAL_CLOCK_BASE="$real_clock_base" \
    MSGCUBE_TEST_APPID="$appid" MSGCUBE_TEST_SECRET="$(value "$appid" secret)" \
    MSGCUBE_TEST_TOKEN="$(value "$appid" token)" MSGCUBE_TEST_AES_KEY="$(value "$appid" encoding_aes_key)" \
    MSGCUBE_TEST_CONFIG="$work/data.toml" MSGCUBE_TEST_ADMIN_KEY="sdk-test-admin-key" \
    MSGCUBE_TEST_COMPONENT="$component" MSGCUBE_TEST_COMPONENT_SECRET="$(value "$component" secret)" \
    MSGCUBE_TEST_COMPONENT_TOKEN="$(value "$component" token)" \
    MSGCUBE_TEST_COMPONENT_AES_KEY="$(value "$component" encoding_aes_key)" MSGCUBE_TEST_PUSH_PORT="${push%%/*}" \
    NODE_PATH="$root/.test-env/node/node_modules" NO_PROXY=127.0.0.1 timeout 1200 "$@"; then
    echo "the last lines of the log:" && tail -n 20 "$work"/*.log
    return 1
  fi
}

failed=0
drive wx00000000000000a1 - "$python" "$here/drive_wechatpy.py" || failed=1
drive wx00000000000000a2 - "$python" "$here/drive_weixin.py" || failed=1
drive wx00000000000000a3 - node --no-deprecation "$here/drive_node.js" || failed=1
drive wx00000000000000a4 - node --no-deprecation "$here/drive_cloud.js" || failed=1
drive wx00000000000000a7 wx00000000000000c1 "$python" "$here/drive_component.py" || failed=1
drive wx00000000000000a8 wx00000000000000c2 node --no-deprecation "$here/drive_component_node.js" || failed=1

for server in "${servers[@]}"; do
  kill -TERM "$server"
  status=0
  wait "$server" || status=$?
  [ "$status" -eq 0 ] || { echo "SIGTERM ended the program with status $status, not 0" >&2; failed=1; }
done
servers=()
exit "$failed"
