"""Stands between the program and an unmodified bot. Passes all bytes on and records them."""

import http.client
import io
import select
import socket
import threading

from script import HEAD_END, Connection, Exchange


class _Bytes:
    """The part of a socket that http.client and Connection use for reading."""

    def __init__(self, data):
        self.file = io.BytesIO(data)

    def makefile(self, *_, **__):
        return self.file

    def recv(self, size):
        return self.file.read(size)


class Wire:
    """`connections` holds the bytes to and from the bot, for each connection."""

    def __init__(self, address):
        host, port = address.split(":")
        self.upstream = (host, int(port))
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = "http://127.0.0.1:{}".format(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.upstream)
            except OSError:
                return
            kept = (bytearray(), bytearray())
            self.connections.append(kept)
            threading.Thread(target=self._pass, args=(client, server, kept), daemon=True).start()

    def _pass(self, client, server, kept):
        ways = {client: (server, kept[0]), server: (client, kept[1])}
        with client, server:
            while True:
                for source in select.select(list(ways), [], [])[0]:
                    target, record = ways[source]
                    try:
                        data = source.recv(65536)
                        record += data
                        target.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return

    def exchanges(self):
        """Pairs of request and answer. The answer is None if there was none."""
        for sent, came in list(self.connections):
            requests, answers = Connection(_Bytes(bytes(sent))), io.BytesIO(bytes(came))
            while requests.used < len(sent):
                exchange = Exchange(requests, requests.until(HEAD_END))
                exchange.body()
                yield exchange, _answer(answers, exchange.method)

    def close(self):
        self.listener.close()


def _answer(file, method):
    """Status, type and body of the next answer in these bytes."""
    answer = http.client.HTTPResponse(_File(file), method=method)
    try:
        answer.begin()
    except http.client.HTTPException:
        return None
    return answer.status, answer.getheader("Content-Type"), answer.read()


class _File:
    """A socket whose file stays open after an answer."""

    def __init__(self, file):
        self.file = file

    def makefile(self, *_, **__):
        return io.BufferedReader(_Unclosed(self.file), 1)


class _Unclosed(io.RawIOBase):
    def __init__(self, file):
        self.source = file

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
