"""An HTTP server that a case controls byte by byte. It records every byte that it received."""

import socket
import threading
import time

HEAD_END = b"\r\n\r\n"


class Exchange:
    """A received request, and the connection for its answer."""

    def __init__(self, connection, head):
        self.connection, self.head, self.started = connection, head, time.monotonic()
        lines = head.split(b"\r\n")
        self.method, self.target, _ = lines[0].decode("latin-1").split(" ", 2)
        pairs = (line.decode("latin-1").split(":", 1) for line in lines[1:] if line)
        self.headers = [(name.lower(), value.strip()) for name, value in pairs]
        self._body = None

    def header(self, name):
        values = [value for found, value in self.headers if found == name]
        assert len(values) < 2, f"{name} more than once: {values}"
        return values[0] if values else None

    @property
    def path(self):
        return self.target.split("?")[0]

    @property
    def query(self):
        return self.target.partition("?")[2]

    def chunks(self):
        """The body in pieces, as it arrives."""
        if (self.header("transfer-encoding") or "").lower() == "chunked":
            while size := int(self.connection.line().split(b";")[0], 16):
                yield self.connection.exactly(size)
                self.connection.line()
            while self.connection.line():
                pass
            return
        left = int(self.header("content-length") or 0)
        while left:
            piece = self.connection.some(min(left, 65536))
            left -= len(piece)
            yield piece

    def body(self):
        if self._body is None:
            self._body = b"".join(self.chunks())
        return self._body

    def send(self, data):
        self.connection.socket.sendall(data)

    def answer(self, body=b"success", status="200 OK", type="text/plain", headers=()):
        """Sends an ordinary answer and keeps the connection."""
        self.body()
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        head += [f"Content-Type: {type}"] if type else []
        head += [f"{name}: {value}" for name, value in headers]
        self.send("\r\n".join(head).encode("latin-1") + HEAD_END + body)


class Gone(Exception):
    """The other side closed."""


class Connection:
    def __init__(self, socket):
        self.socket, self.received, self.used = socket, bytearray(), 0

    def more(self):
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.received += data

    def until(self, mark):
        while (at := self.received.find(mark, self.used)) < 0:
            self.more()
        text = bytes(self.received[self.used : at])
        self.used = at + len(mark)
        return text

    def line(self):
        return self.until(b"\r\n")

    def exactly(self, size):
        while len(self.received) - self.used < size:
            self.more()
        return self.some(size)

    def some(self, most):
        """At least one of the next bytes."""
        while len(self.received) == self.used:
            self.more()
        piece = bytes(self.received[self.used : self.used + most])
        self.used += len(piece)
        return piece


class Script:
    """Calls `handle(exchange)` for each request. An exception or the result False closes the connection. Listens on a port, or
    on a socket that is already bound."""

    def __init__(self, handle, port=0, keep_bytes=True, bound=None):
        self.handle, self.keep_bytes = handle, keep_bytes
        self.exchanges, self.connections = [], []
        self.listener = bound or socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.listen(4096)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(accepted)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while True:
                exchange = Exchange(connection, connection.until(HEAD_END))
                self.exchanges.append(exchange)
                if self.handle(exchange) is False:
                    break
                exchange.body()
                if not self.keep_bytes:
                    connection.received, connection.used = bytearray(connection.received[connection.used :]), 0
        except (Gone, OSError):
            pass
        finally:
            connection.socket.close()

    def received(self):
        """All received bytes of all connections."""
        return b"".join(bytes(connection.received) for connection in self.connections)

    def seen(self, path=""):
        return [exchange for exchange in self.exchanges if exchange.path.startswith(path)]

    def close(self):
        """Stops listening and closes the open connections."""
        for close in [lambda: self.listener.shutdown(socket.SHUT_RDWR), self.listener.close] + [
            lambda c=c: c.socket.shutdown(socket.SHUT_RDWR) for c in self.connections
        ]:
            try:
                close()
            except OSError:
                pass
