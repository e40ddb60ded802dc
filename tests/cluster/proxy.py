"""A TCP proxy in the test's process. It can cut a connection after a number of bytes, or hold all bytes back."""

import select
import socket
import struct
import threading

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
REQUEST, ANSWER = "request", "answer"


class _Cut:
    """`after`: bytes that still pass in this direction. `when`: bytes that must be in what the client sent before it counts."""

    def __init__(self, way, after, when):
        self.way, self.after, self.when = way, after, when
        self.connection = None  # the first connection on which `when` was seen; only this one is cut


class Proxy:
    """Passes connections on to `port` of loopback. `cuts` counts the connections that were cut as asked."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.lock, self.cuts, self.planned = threading.Lock(), 0, []
        self.passing = threading.Event()
        self.passing.set()
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_request(self, after, when=b""):
        """Cuts one connection after it has sent this many more bytes. With `when`, only one that sends these bytes; then they are
        where the counting starts."""
        self._plan(_Cut(REQUEST, after, when))

    def cut_answer(self, after, when=b""):
        """Cuts one connection after this many more bytes of answers. With `when`, only one that sends these bytes first."""
        self._plan(_Cut(ANSWER, after, when))

    def _plan(self, cut):
        with self.lock:
            self.planned.append(cut)

    def hold(self):
        """No byte passes and no connection ends, as when the network is gone."""
        self.passing.clear()

    def let_go(self):
        self.passing.set()

    def close(self):
        self.closed = True
        self.passing.set()
        self.listener.close()

    def _accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self.passing.wait()
        try:
            server = socket.create_connection(self.target)
        except OSError:
            _reset(client)
            return
        with client, server:
            try:
                self._pass(client, server)
            except OSError:
                _reset(client)

    def _pass(self, client, server):
        others = {client: server, server: client}
        while True:
            for source in select.select(list(others), [], [])[0]:
                data = source.recv(65536)
                self.passing.wait()
                way = REQUEST if source is client else ANSWER
                allowed = self._allowed(client, way, data)
                others[source].sendall(data[:allowed])
                if allowed < len(data) or not data:
                    if data:
                        _reset(client)
                        _reset(server)
                    return

    def _allowed(self, connection, way, data):
        """How many of these bytes pass. Fewer than all: the connection has to be cut there."""
        with self.lock:
            for cut in list(self.planned):
                begin = 0
                if cut.connection is None:
                    at = data.find(cut.when) if way == REQUEST or not cut.when else -1
                    if at >= 0:
                        cut.connection, begin = connection, at + len(cut.when)
                if cut.connection is not connection or cut.way != way:
                    continue
                if len(data) - begin > cut.after:
                    self.planned.remove(cut)
                    self.cuts += 1
                    return begin + cut.after
                cut.after -= len(data) - begin
        return len(data)


def _reset(connection):
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        connection.close()
    except OSError:
        pass
