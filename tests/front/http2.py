"""An HTTP/2 connection without TLS, to test single streams."""

import socket

import h2.config
import h2.connection
import h2.events


class Http2:
    def __init__(self, address):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=120)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.socket.sendall(self.connection.data_to_send())

    def post(self, target, body):
        """Sends a request and returns the number of its stream."""
        return self.begin(target, body, is_whole=True)

    def begin(self, target, body, is_whole=False):
        """Begins a request. Without `is_whole` the body has not ended."""
        stream = self.connection.get_next_available_stream_id()
        names = [(":method", "POST"), (":path", target), (":scheme", "http"), (":authority", "x"), ("content-type", "text/xml")]
        self.connection.send_headers(stream, names)
        self.connection.send_data(stream, body, end_stream=is_whole)
        self.socket.sendall(self.connection.data_to_send())
        return stream

    def reset(self, stream, why):
        self.connection.reset_stream(stream, why)
        self.socket.sendall(self.connection.data_to_send())

    def outcomes(self, streams):
        """Status and body of each stream, or "reset"."""
        found, bodies, statuses = {}, {}, {}
        while set(streams) - set(found):
            data = self.socket.recv(65536)
            assert data, "the whole connection was closed"
            for event in self.connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    statuses[event.stream_id] = dict(event.headers)[":status"]
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                elif isinstance(event, h2.events.StreamEnded):
                    found[event.stream_id] = (statuses[event.stream_id], bodies.get(event.stream_id, b""))
                elif isinstance(event, h2.events.StreamReset):
                    found[event.stream_id] = "reset"
            self.socket.sendall(self.connection.data_to_send())
        return found

    def close(self):
        self.socket.close()
