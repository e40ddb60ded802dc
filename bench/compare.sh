#!/usr/bin/env bash
# Asks msgcube, DuckDB, ClickHouse and SQLite the same questions about the same messages; fails if an answer differs.
#   bench/compare.sh [MESSAGES [USERS [ROUNDS]]]   default: 5,000,000 messages of 500,000 users, 5 rounds
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${MSGCUBE_PROFILE:-dist}"
target="${CARGO_TARGET_DIR:-target}"
cargo build --profile "$profile" --locked --quiet -p msgcube-bench --bin ranges >&2
venv="$target/compare-venv"
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
cmp -s bench/compare.txt "$venv/.installed" ||
  { "$venv/bin/pip" install --quiet --disable-pip-version-check -r bench/compare.txt && cp bench/compare.txt "$venv/.installed"; }
exec "$venv/bin/python" bench/compare.py "$target/$profile/ranges" "${1:-5000000}" "${2:-500000}" "${3:-5}"
