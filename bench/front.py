"""Measures the time that the relay adds to a callback and the gateway to a call, at a fixed rate. Compares with direct
requests and with nginx, in turns in the same run. Latency counts from the time when a request was due.
front.py FOLDER [--quick]"""

import atexit
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from programs import APPID, SECRET, TOKEN, Programs, account, machine, say

FULL = {"seconds": 10, "rounds": 5, "rate": 2000, "connections": 64}
QUICK = {"seconds": 0.5, "rounds": 1, "rate": 500, "connections": 16}
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; client_body_buffer_size 64k; keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream target {{ server {target}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


class Nginx:
    """nginx with one worker, whose CPU time is measured."""

    def __init__(self, folder, target):
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, target=target, port=port))
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        # its own process group: a killed master does not end the worker
        self.process = subprocess.Popen([nginx, "-p", folder, "-c", config], stdin=subprocess.DEVNULL, start_new_session=True)
        atexit.register(self.end)
        self.address, self.pid = f"127.0.0.1:{port}", self._worker(port)

    def _worker(self, port):
        for _ in range(200):
            time.sleep(0.05)
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            with socket.socket() as probe:
                if children and probe.connect_ex(("127.0.0.1", port)) == 0:
                    return int(children[0])
        raise SystemExit("nginx did not start")

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()


def access_token(server):
    query = f"grant_type=client_credential&appid={APPID}&secret={SECRET}"
    return json.loads(server.get(f"/cgi-bin/token?{query}"))["access_token"]


def callbacks(programs):
    """For each way: its name, its server, and the options of the load."""
    target = programs.noop()
    relay = f'[account.relay]\nurl = "http://{target.address}/callback/{APPID}"\n'
    ways = [
        ("the bot directly", target),
        ("nginx before the bot", Nginx(programs.folder / "nginx-callbacks", target.address)),
        ("msgcube alone, durable", programs.msgcube("alone", account())),
        ("msgcube's relay before the bot, durable", programs.msgcube("relay", account(relay))),
    ]
    return [(name, server, ["--token", TOKEN]) for name, server in ways]


def calls(programs):
    target = programs.noop()
    upstream = f'upstream_secret = "real"\n[upstream]\nbase = "http://{target.address}"\n'
    gateway = programs.msgcube("gateway", account(upstream))
    return [
        ("WeChat's stand-in directly", target, []),
        ("nginx before it", Nginx(programs.folder / "nginx-calls", target.address), []),
        ("msgcube's gateway before it", gateway, ["--access-token", access_token(gateway)]),
    ]


def measure(programs, mode, ways, sizes):
    """Measures the ways in turns, so that other work of the machine affects all equally."""
    reports = {name: [] for name, _, _ in ways}
    for number in range(sizes["rounds"] + 1):
        for name, server, options in ways:
            fixed = ["--rate", sizes["rate"], "--seconds", sizes["seconds"], "--connections", sizes["connections"]]
            report = programs.load(server, mode, *fixed, *options)
            # the first round warms up
            if number or sizes["rounds"] == 1:
                reports[name].append(report)
        say(f"{mode}: round {number} of {sizes['rounds']}")
    return reports


def row(name, reports):
    middle = lambda key: statistics.median(report[key] for report in reports)
    times = [f"{middle(key) / 1000:.2f} ms" for key in ("p50_us", "p99_us", "p999_us")]
    errors = sum(report["errors"] for report in reports)
    return f"| {name} | {' | '.join(times)} | {middle('cpu_us_per_request'):.0f} us |{f' {errors} errors' if errors else ''}"


def main():
    sizes = QUICK if "--quick" in sys.argv[2:] else FULL
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
        programs = Programs(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder).resolve())
        found = [
            ("Callbacks", measure(programs, "callback", callbacks(programs), sizes)),
            ("Calls", measure(programs, "call", calls(programs), sizes)),
        ]
    print(
        f"{machine()}; load generator and target on the same cores; {sizes['rate']:,} requests a second at fixed moments over "
        f"{sizes['connections']} connections; median of {sizes['rounds']} rounds in turns\n"
    )
    for what, reports in found:
        print(f"| {what} | p50 | p99 | p99.9 | CPU a request |\n|---|---|---|---|---|")
        for name, rounds in reports.items():
            print(row(name, rounds))
        print()


main()
