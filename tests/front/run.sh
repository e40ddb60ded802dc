#!/usr/bin/env bash
# The front door against real counterparts: tests/front/run.sh BINARY [FILE [CASE]]. Wants .test-env/ as ./test makes it.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "${1:?usage: tests/front/run.sh BINARY [FILE [CASE]]}")"
python="$here/../../.test-env/venv/bin/python"
files=(relay_bots relay_targets relay_disks relay_full_disk gateway_passing gateway_refresh gateway_settings gateway_stream gateway_attacks gateway_sdk platform_receive tap restarts)
[ -z "${2:-}" ] || files=("$(basename "$2" .py)")

# thousands of connections at once, at both ends
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true

failed=()
for file in "${files[@]}"; do
  echo "--- $file"
  started=$SECONDS status=0
  timeout 240 "$python" "$here/$file.py" "$binary" "${3:-}" || status=$?
  # 77: skipped, and it has said why
  [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || failed+=("$file")
  echo "$((SECONDS - started)) s"
done
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
