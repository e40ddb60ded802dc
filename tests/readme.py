"""Runs the commands of the README files as a reader would, in a fresh clone: tests/readme.py README.md [README.zh.md]

Code blocks marked ```sh are run in order by one bash, in the clone. What follows `sh` on that line says more:
  ```sh server   the block's last command stays; the next blocks run once it has printed where it listens
  ```sh shown    not run here (it needs a real account, or takes the machine for an hour)
Lines that begin with `git clone` or `cd` are left out: the clone is there. Further files must have the same commands."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r"^```sh( \w+)?\n(.*?)^```", re.M | re.S)


def blocks(file):
    found = []
    for mark, text in BLOCK.findall(pathlib.Path(file).read_text(encoding="utf-8")):
        kept = [line for line in text.splitlines() if not re.match(r"(\$ )?(git clone|cd) ", line)]
        found.append((mark.strip(), "\n".join(kept)))
    return found


def start_server(text, clone, log):
    process = subprocess.Popen(["bash", "-euc", text], cwd=clone, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    end = time.monotonic() + 1800
    while b"listening on http://" not in pathlib.Path(log.name).read_bytes():
        assert process.poll() is None and time.monotonic() < end, pathlib.Path(log.name).read_text()[-3000:]
        time.sleep(0.2)
    return process


def stop(process):
    if process and process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def run(found, clone, folder):
    server = None
    try:
        for number, (mark, text) in enumerate(found):
            print(f"--- {mark or 'run'}\n{text}", flush=True)
            if mark == "shown" or not text.strip():
                continue
            if mark == "server":
                stop(server)
                server = start_server(text, clone, open(folder / f"log{number}", "wb"))
                continue
            subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=clone, stdin=subprocess.DEVNULL, check=True, timeout=1800)
    finally:
        stop(server)


def main(first, *others):
    found = blocks(first)
    assert found, f"{first} has no ```sh block"
    for other in others:
        same = pathlib.Path(other).exists() and [text for _, text in blocks(other)] == [text for _, text in found]
        assert same, f"the commands of {other} are not those of {first}"
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    # what is built already is used again
    os.environ["CARGO_TARGET_DIR"] = str(pathlib.Path(target).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run(["git", "clone", "--quiet", ".", folder / "msgcube"], check=True)
        run(found, folder / "msgcube", folder)


if not pathlib.Path(sys.argv[1]).exists():
    print(f"there is no {sys.argv[1]} yet")
    sys.exit(77)
main(*sys.argv[1:])
