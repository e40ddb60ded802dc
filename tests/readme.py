"""Runs the commands of pages as a reader would, one page after the other in a fresh clone: tests/readme.py README.md PAGE.md...

A comment on the line before a ```sh block says that it is run:
  <!-- run -->              in order, all in one bash, which stops at the first failure
  <!-- run shows TEXT -->   the same, and its output must contain TEXT
  <!-- run until TEXT -->   separately: when its output contains TEXT, the curl lines that it printed must answer with rows or
                            accounts; then it gets Ctrl-C and must end with status 0
PAGE.zh.md must have the same commands; their comments (from "  # " on) may differ. Uses Python and the packages in .test-env/,
if it exists."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r"^<!-- run(?: (shows|until) (.*?))? -->\n```sh\n(.*?)^```", re.M | re.S)
ADDRESS = ("127.0.0.1", 8060)
LONGEST_S = 1800


def blocks(file):
    """For each block: how it is run, the text to wait for, and its commands."""
    return BLOCK.findall(pathlib.Path(file).read_text(encoding="utf-8"))


def commands(file):
    return [(mark, wanted, re.sub(r" {2,}# .*", "", text)) for mark, wanted, text in blocks(file)]


def run_until(wanted, text, clone, log):
    """Runs a program that does not end by itself, and ends it as a reader would."""
    print(f"--- until {wanted!r}: {text}", flush=True)
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=clone, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
    end = time.monotonic() + LONGEST_S
    try:
        while wanted not in log.read_text(errors="replace"):
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)
        for line in log.read_text().splitlines():
            if line.startswith("curl "):
                answer = subprocess.run(["bash", "-c", f"{line} -sS"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
                found = json.loads(answer.stdout)
                assert found.get("list") or found.get("accounts"), (line, answer)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 0, (process.returncode, log.read_text()[-3000:])
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    print(log.read_text(errors="replace"), flush=True)


def run_in_order(found, clone, log):
    with socket.socket() as probe:
        assert probe.connect_ex(ADDRESS) != 0, f"another program listens on port {ADDRESS[1]}, which the pages use"
    script = "".join(f"printf '\\n=== block {number}\\n'\n{text}\n" for number, (_, _, text) in enumerate(found))
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=clone, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
    try:
        status = process.wait(LONGEST_S)
    finally:
        # ends the server if the script did not
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    output = log.read_text(errors="replace")
    print(output, flush=True)
    assert status == 0, f"a command failed with status {status}"
    shown = re.split(r"^=== block \d+\n", output, flags=re.M)[1:]
    for (mark, wanted, text), output in zip(found, shown, strict=True):
        assert mark != "shows" or wanted in output, f"{wanted!r} is not in the output of:\n{text}"


def keep_times(clone):
    """Copies the file times to the clone where the content is equal, so that cargo can use the existing build."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=clone, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        here, there = pathlib.Path(name), clone / name
        if here.is_file() and here.read_bytes() == there.read_bytes():
            os.utime(there, ns=(here.stat().st_atime_ns, here.stat().st_mtime_ns))


def main(*pages):
    found = []
    for page in pages:
        here, chinese = blocks(page), pathlib.Path(page).with_suffix(".zh.md")
        assert here, f"{page} has no block that is run"
        assert commands(chinese) == commands(page), f"the commands of {chinese} are not those of {page}"
        found += here
    packages = pathlib.Path(".test-env/venv/bin").resolve()
    os.environ["PATH"] = f"{packages}{os.pathsep}{os.environ['PATH']}"
    # the existing build is used, at the path that the README expects
    target = pathlib.Path(os.environ.pop("CARGO_TARGET_DIR", "target")).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        clone = folder / "msgcube"
        subprocess.run(["git", "clone", "--quiet", ".", clone], check=True)
        (clone / "target").symlink_to(target)
        keep_times(clone)
        for number, (_, wanted, text) in enumerate(block for block in found if block[0] == "until"):
            run_until(wanted, text, clone, folder / f"until{number}")
        run_in_order([block for block in found if block[0] != "until"], clone, folder / "log")
    print(f"all {len(found)} blocks ran, and the Chinese pages have the same commands")


main(*sys.argv[1:])
