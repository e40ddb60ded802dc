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
races="$(mktemp)"
trap 'rm -f "$said" "$races"' EXIT

run_file() { # NAME
  local started=$SECONDS status=0
  echo "--- $1"
  timeout 1800 "$python" "$here/$1.py" "$binary" "${chosen_case:-}" || status=$?
  echo "$1: $((SECONDS - started)) s"
  return "$status"
}

note() { # NAME STATUS
  case $2 in
    0) ;;
    77) skipped+=("$1") ;; # the output says why
    *) failed+=("$1") ;;
  esac
}

# One after the other: each starts servers of its own, and there are two cores. Only the races run beside another file, in which
# processes pause for half a minute.
failed=() skipped=() chosen_case="${3:-}" races_pid=""
for file in "${files[@]}"; do
  name="$(basename "$file" .py)" status=0
  if [ -z "${2:-}" ]; then
    [ "$name" != test_races ] || continue
    if [ "$name" = test_process_faults ]; then
      run_file test_races >"$races" 2>&1 &
      races_pid=$!
    fi
  fi
  run_file "$name" | tee -a "$said" || status="${PIPESTATUS[0]}"
  note "$name" "$status"
done
if [ -n "$races_pid" ]; then
  status=0
  wait "$races_pid" || status=$?
  cat "$races"
  note test_races "$status"
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
  wire_cases || failed+=("wire cases")
  echo "wire cases: $((SECONDS - started)) s"
fi

awk '/^[0-9]+ cycles, / { cycles += $1; messages += $3; answers += $6; wrong += $9; cases++ }
  END { if (cases) print cases " cases with faults: " cycles " cycles, " messages " messages checked, " answers " answers checked, " wrong " wrong" }' "$said"
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
[ "${#skipped[@]}" -eq 0 ] || { echo "skipped: ${skipped[*]}"; exit 77; }
