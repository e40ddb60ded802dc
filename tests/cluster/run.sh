#!/usr/bin/env bash
# Tests several processes on one shared store while servers fail: tests/cluster/run.sh BINARY [FILE [CASE]]. Needs .test-env/ and
# the servers' packages, which ./test installs. Without FILE it also runs the wire cases on this store. MSGCUBE_FAULT_CYCLES says
# how often each fault happens (1).
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "${1:?usage: tests/cluster/run.sh BINARY [FILE [CASE]]}")"
python="${PYTHON:-$here/../../.test-env/venv/bin/python}"
files=("$here"/test_*.py)
[ -z "${2:-}" ] || files=("$here/$(basename "$2" .py).py")

export MSGCUBE_FAULT_CYCLES="${MSGCUBE_FAULT_CYCLES:-1}"
said="$(mktemp)"
trap 'rm -f "$said"' EXIT

# One after the other: each starts servers of its own, and there are two cores.
failed=() skipped=()
for file in "${files[@]}"; do
  started=$SECONDS status=0
  name="$(basename "$file" .py)"
  echo "--- $name"
  timeout 1800 "$python" "$file" "$binary" "${3:-}" | tee -a "$said" || status="${PIPESTATUS[0]}"
  case $status in
    0) ;;
    77) skipped+=("$name") ;; # the output says why
    *) failed+=("$name") ;;
  esac
  echo "$name: $((SECONDS - started)) s"
done
# Cases of paths that do not depend on the store are left out. `wire::on_a_shared_store wire::in_turn` would be all of them.
wire_cases() {
  local name names=()
  for name in rows ranges options bulk statistics statistics_across statistics_split anywhere_rows; do
    names+=("wire::on_a_shared_store::$name")
  done
  for name in rows tokens tokens_in_time rids callbacks cloud bulk statistics_split operation component component_in_time; do
    names+=("wire::in_turn_on_three_processes_and_a_cluster::$name")
  done
  local folder status=0
  folder="$(mktemp -d)"
  # With all features, as in ./test: so nothing is built again.
  "$python" "$here/servers.py" "$folder" run --single --cluster --postgres -- \
    cargo test --workspace --all-features --locked --test program -- --ignored --exact "${names[@]}" || status=$?
  rm -rf "$folder"
  return "$status"
}

if [ -z "${2:-}" ]; then
  started=$SECONDS
  echo "--- wire cases"
  wire_cases || failed+=("wire cases")
  echo "wire cases: $((SECONDS - started)) s"
fi

awk '/^[0-9]+ cycles, / { cycles += $1; messages += $3; answers += $6; wrong += $9; cases++ }
  END { if (cases) print cases " cases with faults: " cycles " cycles, " messages " messages checked, " answers " answers checked, " wrong " wrong" }' "$said"
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
[ "${#skipped[@]}" -eq 0 ] || { echo "skipped: ${skipped[*]}"; exit 77; }
