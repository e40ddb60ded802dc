#!/usr/bin/env bash
# Tests several processes on one shared store while servers fail: tests/cluster/run.sh BINARY [FILE [CASE]]. Needs .test-env/ and
# the servers' packages, which ./test installs. Without FILE it also runs the wire cases on this store. MSGCUBE_FAULT_CYCLES says
# how often each fault happens (1).
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "${1:?usage: tests/cluster/run.sh BINARY [FILE [CASE]]}")"
python="${PYTHON:-$here/../../.test-env/venv/bin/python}"

export MSGCUBE_FAULT_CYCLES="${MSGCUBE_FAULT_CYCLES:-1}"
notes="$(mktemp -d)"
trap 'rm -rf "$notes"' EXIT
touch "$notes/said" "$notes/failed" "$notes/skipped"

run_file() { # NAME
  local started=$SECONDS status=0
  echo "--- $1"
  timeout 1800 "$python" "$here/$1.py" "$binary" "${chosen_case:-}" || status=$?
  echo "$1: $((SECONDS - started)) s"
  case $status in
    0) ;;
    77) echo "$1" >>"$notes/skipped" ;; # the output says why
    *) echo "$1" >>"$notes/failed" ;;
  esac
}

# The first file, and the others one after the other beside it. Each starts servers of its own, and there are two cores, of which
# the faults leave some time.
side_by_side() { # NAME NAME...
  local name
  for name in "${@:2}"; do run_file "$name"; done >"$notes/beside" 2>&1 &
  run_file "$1" 2>&1 | tee -a "$notes/said"
  wait $!
  tee -a "$notes/said" <"$notes/beside"
}

chosen_case="${3:-}" first=(test_faults test_sdks test_servers test_store_command) second=(test_process_faults test_races)
for file in "$here"/test_*.py; do
  [[ " ${first[*]} ${second[*]} " == *" $(basename "$file" .py) "* ]] || { echo "$file is on no list of $0" >&2; exit 1; }
done
if [ -n "${2:-}" ]; then
  run_file "$(basename "$2" .py)" | tee -a "$notes/said"
else
  side_by_side "${first[@]}"
  side_by_side "${second[@]}"
fi

# Cases of paths that do not depend on the store are left out. `wire::on_a_shared_store wire::in_turn` would be all of them.
wire_cases() {
  local name names=()
  for name in rows ranges options bulk statistics statistics_across statistics_split anywhere_rows; do
    names+=("wire::on_a_shared_store::$name")
  done
  for name in rows tokens tokens_in_time quotas rids callbacks cloud bulk statistics_split operation component component_in_time; do
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
  wire_cases || echo "wire cases" >>"$notes/failed"
  echo "wire cases: $((SECONDS - started)) s"
fi

awk '/^[0-9]+ cycles, / { cycles += $1; messages += $3; answers += $6; wrong += $9; cases++ }
  END { if (cases) print cases " cases with faults: " cycles " cycles, " messages " messages checked, " answers " answers checked, " wrong " wrong" }' "$notes/said"
sed 's/^/skipped: /' "$notes/skipped"
sed 's/^/failed: /' "$notes/failed" >&2
[ ! -s "$notes/failed" ] || exit 1
[ ! -s "$notes/skipped" ] || exit 77
