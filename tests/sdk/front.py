"""Replaces https://api.weixin.qq.com for SDKs with a fixed address. It is an HTTPS proxy with its own authority. It ends TLS
for any host name and copies the bytes to the server under test."""

import os
import select
import socket
import ssl
import tempfile
import threading

import trustme


def _copy(tls, server):
    """Copies both ways in one thread, because OpenSSL cannot read and write a connection at the same time."""
    while True:
        ready = [tls] if tls.pending() else select.select([tls, server], [], [])[0]
        for source, target in ((tls, server), (server, tls)):
            if source in ready:
                data = source.recv(65536)
                if not data:
                    return
                target.sendall(data)


def _serve(client, upstream, contexts):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096) or b"\r\n\r\n"
    if not head.startswith(b"CONNECT "):
        client.close()
        return
    host = head.split()[1].rsplit(b":", 1)[0].decode()
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    with contexts(host).wrap_socket(client, server_side=True) as tls, socket.create_connection(upstream) as server:
        _copy(tls, server)


class Front:
    """Started once in a process. Sets the two environment variables that `requests` reads."""

    def __init__(self, base):
        host, port = base.removeprefix("http://").split(":")
        self.upstream = (host, int(port))
        self.authority = trustme.CA()
        self.hosts = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ca_file = tempfile.NamedTemporaryFile(suffix=".pem")
        self.authority.cert_pem.write_to_path(self.ca_file.name)
        os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        os.environ["REQUESTS_CA_BUNDLE"] = self.ca_file.name
        threading.Thread(target=self._accept, daemon=True).start()

    def _context(self, host):
        self.hosts.append(host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(host).configure_cert(context)
        return context

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=_serve, args=(client, self.upstream, self._context), daemon=True).start()
