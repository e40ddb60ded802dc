"""Restarts under load while the listening socket stays open: directly, and through nginx with kept connections.
restarts.py BINARY"""

import http.client
import shutil
import signal
import socket
import subprocess
import threading

from callbacks import Account, message
from cases import case, run
from program import ADMIN_KEY, Program, ask, until

RESTARTS = 10
CONFIG = "\n[datacube]\nbridge_s = 300\n"
NGINX = """
daemon off; worker_processes 2; pid nginx.pid; error_log error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  upstream msgcube {{ server {upstream}; keepalive 8; }}
  server {{
    listen {address};
    location / {{ proxy_pass http://msgcube; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class OnSocket(Program):
    """msgcube on a socket that this test keeps open, as systemd does."""

    def __init__(self, scene, config):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        scene.started(self.socket)
        address = "{}:{}".format(*self.socket.getsockname())
        folder = scene.folder / "msgcube"
        folder.mkdir()
        (folder / "msgcube.toml").write_text(f'listen = "{address}"\nadmin_key = "{ADMIN_KEY}"\n{config}')
        self.folder = folder
        self.command = [scene.binary, "serve", "--config", folder / "msgcube.toml"]
        scene.programs.append(self)
        self.start()

    def start(self):
        # LISTEN_PID is the id of the new process, which only the process itself knows.
        shell = ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null', "sh"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*shell, *self.command], stdin=self.socket, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on http://"), f"it did not start: {line!r} {self.log()}"
        self.address = line.split("http://")[1].strip()


class Nginx:
    """nginx before msgcube, with kept connections."""

    def __init__(self, folder, upstream):
        folder = folder / "nginx"
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "{}:{}".format(*free.getsockname())
        (folder / "nginx.conf").write_text(NGINX.format(upstream=upstream, address=self.address))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen(
            [program, "-p", folder, "-c", folder / "nginx.conf"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until("nginx listens", self._listens, 60)

    def _listens(self):
        try:
            socket.create_connection(tuple(self.address.split(":"))).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(60)


class Load:
    """Senders that run until they are stopped. Each answer that is not `success` is recorded."""

    def __init__(self, account, address, keeps_connections):
        self.account, self.address, self.keeps = account, address, keeps_connections
        self.ends, self.sent, self.failures = threading.Event(), [], []
        self.threads = [threading.Thread(target=self._send, args=(number,)) for number in range(4)]
        for thread in self.threads:
            thread.start()

    def _send(self, number):
        kept = http.client.HTTPConnection(self.address, timeout=60)
        while not self.ends.is_set():
            query, body = self.account.plain(message(user=f"oUser{number}"))
            target = f"/callback/{self.account.appid}?{query}"
            self.sent.append(target)
            try:
                if self.keeps:
                    # nginx keeps this connection during our restart
                    kept.request("POST", target, body)
                    answer = kept.getresponse()
                    said = answer.status, answer.read()
                else:
                    answer = ask(self.address, "POST", target, body, timeout=60)
                    said = answer and (answer.status, answer.body)
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            if said != (200, b"success"):
                self.failures.append(said)
        kept.close()

    def more(self, number):
        wanted = len(self.sent) + number
        until(f"{number} more are sent", lambda: len(self.sent) >= wanted, 120)

    def end(self):
        self.ends.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, (len(self.sent), self.failures[:5])
        return len(self.sent)


def restarted(scene, through_nginx):
    account = Account()
    program = OnSocket(scene, CONFIG + account.toml())
    address = scene.started(Nginx(scene.folder, program.address)).address if through_nginx else program.address
    load = Load(account, address, through_nginx)
    for _ in range(RESTARTS):
        load.more(100)
        program.stop()
        program.start()
    load.more(100)
    sent = load.end()
    assert program.counted(account.appid) == {"text": sent}
    coverage = program.stats(account.appid)["coverage"]
    assert coverage["gaps"] == [] and coverage["bridged"] == [], coverage


@case
def ten_restarts_under_load_on_new_connections(scene):
    restarted(scene, False)


@case
def ten_restarts_under_load_through_nginx_that_keeps_its_connections(scene):
    restarted(scene, True)


run(at_once=1)
