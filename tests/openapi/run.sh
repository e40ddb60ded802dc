#!/usr/bin/env bash
# Tests the running program against its OpenAPI document: tests/openapi/run.sh BINARY. Needs .test-env/, which ./test makes.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
bin="${MSGCUBE_TEST_VENV:-$here/../../.test-env/venv}/bin"
binary="$(realpath "${1:?usage: tests/openapi/run.sh BINARY}")"
work="$(mktemp -d)"
server=

cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

cp "$here/msgcube.toml" "$work/"
"$binary" serve --config "$work/msgcube.toml" --now 2014-12-10T12:00:00+08:00 >"$work/out" 2>"$work/log" &
server=$!
for _ in $(seq 1000); do
  base="$(sed -n 's|^listening on \(http://[^ ]*\).*|\1|p' "$work/out")"
  [ -z "$base" ] || break
  kill -0 "$server" 2>/dev/null || { cat "$work/out" "$work/log"; echo "the program ended" >&2; exit 1; }
  sleep 0.1
done
[ -n "$base" ] || { cat "$work/out" "$work/log"; echo "the program printed no address" >&2; exit 1; }

value() { sed -n "0,/^$1 = /s/^$1 = \"\(.*\)\"/\1/p" "$here/msgcube.toml"; }
appid="$(value appid)" ADMIN_KEY="$(value admin_key)"
export ADMIN_KEY

# Messages for the examples of the document: 1 to 7 December, and of one user 1 to 7 November.
id=0
for day in 0 1 2 3 4 5 6; do
  for kind in text image voice video link; do
    for user in 1 2 3; do
      id=$((id + 1))
      month_ago=$((user == 3 ? 30 * 86400 : 0))
      printf '{"FromUserName":"o%d","CreateTime":%d,"MsgType":"%s","MsgId":%d}\n' \
        "$user" $((1417406400 + day * 86400 - month_ago)) "$kind" "$id"
    done
  done
done >"$work/messages"
curl -sf -H "Authorization: Bearer $ADMIN_KEY" --data-binary "@$work/messages" \
  "$base/v1/accounts/$appid/messages?covers=2014-01-01..2014-12-09" | grep -F '"accepted":105,'
ACCESS_TOKEN="$(curl -sf "$base/cgi-bin/token?grant_type=client_credential&appid=$appid&secret=$(value secret)" |
  sed 's/.*"access_token":"\([^"]*\)".*/\1/')"
export ACCESS_TOKEN

curl -sf "$base/openapi.json" >"$work/openapi.json"
"$bin/openapi-spec-validator" "$work/openapi.json"
failed=0
cd "$work" # Schemathesis writes files into the working folder
PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS="$here/hooks.py" NO_PROXY=127.0.0.1 timeout 1200 "$bin/schemathesis" \
  --config-file "$here/schemathesis.toml" run "$base/openapi.json" || failed=1

kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
[ "$status" -eq 0 ] || { echo "SIGTERM ended the program with status $status, not 0" >&2; failed=1; }
! grep -i panic "$work/log" || { echo "the program panicked" >&2; failed=1; }
exit "$failed"
