"""Upgrades the package while the listening socket stays open, as with systemd: packaging_restart.py ROOT DEB
ROOT has the package installed and configured. A callback is sent before and after the upgrade. There must be no gap."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

ROOT, DEB = sys.argv[1:]
KEY = "packaging-admin-key"
COVERAGE = "/v1/accounts/wx0123456789abcdef/coverage"
SERVE = (
    "LISTEN_PID=$$ LISTEN_FDS=1 exec setpriv --reuid=msgcube --regid=msgcube --clear-groups "
    '/usr/bin/msgcube serve --config /etc/msgcube/msgcube.toml --listen "$0"'
)


def inside(*command, **settings):
    return subprocess.run(["chroot", ROOT, *command], check=True, capture_output=True, text=True, **settings)


def start(address):
    command = ["chroot", ROOT, "/bin/sh", "-c", SERVE, address]
    return subprocess.Popen(command, pass_fds=(3,), stdout=subprocess.DEVNULL, env={**os.environ, "MSGCUBE_ADMIN_KEY": KEY})


def ask(address, path):
    request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def send(address):
    sent = inside("/usr/bin/msgcube", "send", "--config", "/etc/msgcube/msgcube.toml", "--safe", "--base", f"http://{address}")
    assert "200 success" in sent.stdout, sent


def main():
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        os.dup2(listening.fileno(), 3, inheritable=True)
        address = "{}:{}".format(*listening.getsockname())
        program = start(address)
        try:
            send(address)
            before = ask(address, COVERAGE)
            inside("dpkg", "-i", DEB)
            program.send_signal(signal.SIGTERM)
            # This connection waits in the socket until the new program accepts it.
            waiting = subprocess.Popen([sys.executable, "-c", f"import urllib.request as u; u.urlopen('http://{address}/healthz')"])
            assert program.wait() == 0, "SIGTERM ends it with status 0"
            program = start(address)
            assert waiting.wait() == 0, "who connected meanwhile is answered"
            send(address)
            after = ask(address, COVERAGE)
            assert after == before, f"the restart left something in the coverage: {before} {after}"
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait()
    print("an upgrade with an open socket leaves no gap")


main()
