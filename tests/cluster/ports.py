"""Free ports on loopback for servers that are started again on the same port.

They are below the range from which the system takes the ports of outgoing connections, so nobody takes the port of a server that
was killed. A file for each port in use keeps other runs of the tests away from it."""

import os
import pathlib
import random
import socket
import tempfile

LOWEST, HIGHEST = 10_000, 32_000
RESERVED = pathlib.Path(tempfile.gettempdir()) / f"msgcube-test-ports-{os.getuid()}"


def reserve(owner):
    """A port for this owner: a folder that exists as long as the port is in use."""
    RESERVED.mkdir(exist_ok=True)
    for port in random.sample(range(LOWEST, HIGHEST), 1000):
        if _take(RESERVED / str(port), owner):
            if _is_free(port):
                return port
            (RESERVED / str(port)).unlink()
    raise AssertionError(f"no free port between {LOWEST} and {HIGHEST}")


def release(owner):
    """All ports of this owner."""
    for file in RESERVED.glob("*"):
        if _owner(file) == str(owner):
            file.unlink(missing_ok=True)


def _take(file, owner):
    if file.exists() and not pathlib.Path(_owner(file)).exists():
        file.unlink(missing_ok=True)  # its test ended without releasing it
    # The name appears with its content, so that nobody reads an empty file.
    new = file.with_name(f".{file.name}-{os.getpid()}")
    new.write_text(str(owner))
    try:
        os.link(new, file)
    except FileExistsError:
        return False
    finally:
        new.unlink()
    return True


def _owner(file):
    try:
        return file.read_text()
    except OSError:
        return ""


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
