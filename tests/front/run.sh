#!/usr/bin/env bash
# Tests relay and gateway with real bots, SDKs and nginx: tests/front/run.sh BINARY [FILE [CASE]]. Needs .test-env/, which
# ./test makes.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "${1:?usage: tests/front/run.sh BINARY [FILE [CASE]]}")"
python="$here/../../.test-env/venv/bin/python"
files=(relay_bots relay_targets relay_disks relay_full_disk gateway_passing gateway_refresh gateway_settings gateway_stream gateway_attacks gateway_sdk platform_receive tap restarts)
[ -z "${2:-}" ] || files=("$(basename "$2" .py)")

# thousands of connections at the same time, each with two ends
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

run() { # FILE: saves its output, and its name if it failed
  local started=$SECONDS status=0
  timeout 1200 "$python" "$here/$1.py" "$binary" "$case" >"$work/$1.out" 2>&1 || status=$?
  # 77: skipped; the output says why
  [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || echo "$1" >>"$work/failed"
  printf -- '--- %s\n%s\n%d s\n' "$1" "$(cat "$work/$1.out")" $((SECONDS - started))
}

# Two at a time, because they mostly wait.
case="${3:-}" running=0
for file in "${files[@]}"; do
  [ "$running" -lt 2 ] || { wait -n; running=$((running - 1)); }
  run "$file" &
  running=$((running + 1))
done
wait
[ ! -e "$work/failed" ] || { echo "failed: $(tr '\n' ' ' <"$work/failed")" >&2; exit 1; }
