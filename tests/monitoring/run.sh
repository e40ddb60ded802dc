#!/usr/bin/env bash
# Tests the Prometheus rules and the Grafana dashboard: tests/monitoring/run.sh BINARY. Needs promtool and python3.
#   - promtool checks the rules, and tests when they fire
#   - every metric and label that rules and dashboard name is in the answer of the running program
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
rules="$here/../../packaging/prometheus/msgcube.rules.yml"
dashboard="$here/../../packaging/grafana/msgcube.json"
binary="$(realpath "${1:?usage: tests/monitoring/run.sh BINARY}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

promtool check rules --lint=all --lint-fatal "$rules"
sed "s|RULES|$rules|" "$here/rules.test.yml" >"$work/rules.test.yml"
promtool test rules "$work/rules.test.yml"
python3 "$here/names.py" "$binary" "$work" "$rules" "$dashboard"
