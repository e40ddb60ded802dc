"""Compares a trace of the running program with the filter of the unit: packaging_syscalls.py UNIT TRACE.

The groups of the filter come from systemd. A call outside them would stop or disturb the service. Also looks for memory that
is both writable and executable, because the unit forbids it."""

import re
import subprocess
import sys

unit, trace = sys.argv[1:]
# Calls of systemd itself between setting the filter and the start of the program.
STARTING = {"execve"}


def members(group):
    text = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True).stdout
    names = {line.strip() for line in text.splitlines()[1:] if line.startswith(" ") and not line.strip().startswith("#")}
    groups = {name for name in names if name.startswith("@")}
    return (names - groups).union(*(members(name) for name in groups))


allowed = set()
for line in open(unit, encoding="utf-8"):
    if line.startswith("SystemCallFilter="):
        value = line.split("=", 1)[1].split()
        remove = value[0].startswith("~")
        named = set().union(*(members(word.lstrip("~")) for word in value))
        allowed = allowed - named if remove else allowed | named

# Calls in @default are always allowed.
allowed |= members("@default") | STARTING
lines = open(trace, encoding="utf-8", errors="replace").read().splitlines()
used = {found[1] for found in (re.match(r"(?:\d+\s+)?([a-z_0-9]+)\(", line) for line in lines) if found}
assert len(used) > 20, f"the trace is empty: {used}"
missing = sorted(used - allowed)
assert not missing, f"{unit} would refuse {missing}"
mixed = [line for line in lines if re.search(r"\bm(map|protect)\(", line) and "PROT_WRITE" in line and "PROT_EXEC" in line]
assert not mixed, f"writable and executable: {mixed[:3]}"
print(f"{len(used)} different system calls, all of them allowed by the unit")
