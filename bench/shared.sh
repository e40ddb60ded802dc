#!/usr/bin/env bash
# Measures one process on ClickHouse and PostgreSQL beside one with a data folder. Writes a Markdown table to standard output and
# progress to standard error. Needs .test-env/ and the servers' packages, which ./test installs.
#   bench/shared.sh           the sizes in docs/scaling.md: needs about 10 minutes and an idle machine
#   bench/shared.sh --quick   small sizes, to check that it works
# TMPDIR chooses the disk. Avoid ext4 without a journal: there each new file takes longer, the more files were removed in the last
# minutes, and ClickHouse makes and removes many.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet -p msgcube-bench --bins >&2
cargo build --release --locked --quiet --bin msgcube --features clickhouse >&2
exec .test-env/venv/bin/python bench/shared.py "${CARGO_TARGET_DIR:-target}/release" "$@"
