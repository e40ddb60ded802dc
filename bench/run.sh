#!/usr/bin/env bash
# Builds and measures; writes Markdown tables to standard output and progress to standard error.
#   bench/run.sh           the sizes in docs/benchmarks.md: needs about 25 minutes, 3 GiB of disk, nginx and an idle machine
#   bench/run.sh --quick   small sizes, to check that it works
set -euo pipefail
cd "$(dirname "$0")/.."

profile=dist
[ "${1:-}" != --quick ] || profile=release
cargo build --profile "$profile" --locked --quiet -p msgcube -p msgcube-bench --bins >&2
programs="${CARGO_TARGET_DIR:-target}/$profile"
python3 bench/run.py "$programs" "$@"
echo
exec python3 bench/front.py "$programs" "$@"
