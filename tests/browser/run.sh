#!/usr/bin/env bash
# Tests the pages in a headless Chromium: tests/browser/run.sh BINARY [FILE [CASE]]. Needs .test-env/ (./test makes it) and
# the Debian package chromium. With MSGCUBE_SCREENSHOTS=FOLDER it saves pictures there.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "${1:?usage: tests/browser/run.sh BINARY [FILE [CASE]]}")"
python="${MSGCUBE_TEST_VENV:-$here/../../.test-env/venv}/bin/python"
files=(debug_page consent dashboard)
[ -z "${2:-}" ] || files=("$(basename "$2" .py)")

failed=()
for file in "${files[@]}"; do
  echo "--- $file"
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../front" NO_PROXY=127.0.0.1 \
    timeout 1200 "$python" "$here/$file.py" "$binary" "${3:-}" || failed+=("$file")
done
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
