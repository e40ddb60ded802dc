#!/usr/bin/env bash
# Builds and measures; writes a Markdown table to standard output and progress to standard error.
#   bench/run.sh           the sizes of the README's table: needs about 15 minutes, 3 GiB of disk, and an idle machine
#   bench/run.sh --quick   small sizes, to see that it works
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet -p msgcube --bin msgcube --example noop --example load >&2
exec python3 bench/run.py "${CARGO_TARGET_DIR:-target}/release" "$@"
