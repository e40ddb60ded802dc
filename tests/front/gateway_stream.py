"""The gateway streams in both directions: the first bytes arrive before the last are sent, and memory stays small.
gateway_stream.py BINARY"""

import hashlib
import http.client
import json
import socket
import threading
import time

from cases import case, run
from program import until
from wechat import Gateway, WeChat, as_json

SIZE = 100 << 20
PIECE = bytes(range(256)) * 256
# More than all buffers on the way, including those of the kernel and the buffer for chunked bodies.
FIRST = 4 << 20


def connect(gateway):
    host, port = gateway.program.address.split(":")
    return socket.create_connection((host, int(port)), timeout=120)


class Arrival:
    """Receives an upload piece by piece, and knows how much has arrived."""

    def __init__(self):
        self.bytes, self.hash = 0, hashlib.sha256()

    def __call__(self, exchange):
        for piece in exchange.chunks():
            self.bytes += len(piece)
            self.hash.update(piece)
        exchange._body = b""
        as_json(exchange, {"media_id": self.hash.hexdigest()})


def head(gateway, *lines, method="POST", path="/cgi-bin/media/upload"):
    first = f"{method} {path}?type=video&access_token={gateway.token} HTTP/1.1\r\nHost: api.weixin.qq.com\r\n"
    return (first + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


def upload(scene, lines, frame, end=b""):
    arrival = Arrival()
    wechat = scene.started(WeChat({"/cgi-bin/media/upload": arrival}, keep_bytes=False))
    gateway = Gateway(scene, wechat.url)
    gateway.call("/cgi-bin/menu/get")
    before, digest = gateway.program.memory_mib(), hashlib.sha256()
    with connect(gateway) as connection:
        connection.sendall(head(gateway, "Content-Type: multipart/form-data; boundary=x", *lines))
        sent = 0
        while sent < SIZE:
            connection.sendall(frame(PIECE))
            digest.update(PIECE)
            sent += len(PIECE)
            if sent == FIRST:
                until("the first bytes are at WeChat before the last are sent", lambda: arrival.bytes > 0)
        connection.sendall(end)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert json.loads(answer.read()) == {"media_id": digest.hexdigest()}
    assert arrival.bytes == SIZE
    grown = gateway.program.memory_mib() - before
    assert grown < 45, f"{grown:.0f} MiB more for an upload of {SIZE >> 20} MiB"
    print(f"       an upload of {SIZE >> 20} MiB took {grown:.1f} MiB more memory")


@case
def an_upload_streams(scene):
    upload(scene, [f"Content-Length: {SIZE}"], lambda piece: piece)


@case
def an_upload_in_chunks_streams(scene):
    upload(scene, ["Transfer-Encoding: chunked"], lambda piece: b"%x\r\n%s\r\n" % (len(piece), piece), b"0\r\n\r\n")


@case
def a_download_streams(scene):
    """Also in chunks, and JSON that is longer than the part that is searched for errors."""
    go_on = threading.Event()

    def send(kind, size, chunked):
        def handle(exchange):
            exchange.body()
            framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
            exchange.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode())
            for number in range(size // len(PIECE)):
                if number == FIRST // len(PIECE):
                    assert go_on.wait(120), "the first bytes did not reach the caller before the last were sent"
                    go_on.clear()
                exchange.send(b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
            exchange.send(b"0\r\n\r\n" if chunked else b"")

        return handle

    paths = {
        f"/{kind}/{chunked}": send(kind, SIZE, chunked)
        for kind in ("video/mp4", "application/json", "text/plain")
        for chunked in (0, 1)
    }
    wechat = scene.started(WeChat(paths, keep_bytes=False))
    gateway = Gateway(scene, wechat.url)
    gateway.call("/cgi-bin/menu/get")
    before, digest = gateway.program.memory_mib(), hashlib.sha256(PIECE * (SIZE // len(PIECE))).hexdigest()
    for path in paths:
        connection = http.client.HTTPConnection(gateway.program.address, timeout=120)
        connection.request("GET", f"{path}?access_token={gateway.token}")
        answer = connection.getresponse()
        got = hashlib.sha256(answer.read(1000))
        go_on.set()
        while piece := answer.read(1 << 16):
            got.update(piece)
        assert got.hexdigest() == digest, f"{path} arrived differently"
        connection.close()
    grown = gateway.program.memory_mib() - before
    assert grown < 45, f"{grown:.0f} MiB more for downloads of {SIZE >> 20} MiB"


@case
def a_caller_that_does_not_read_slows_down_the_upstream(scene):
    sent = [0]

    def endless(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            exchange.send(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
            sent[0] += len(PIECE)

    wechat = scene.started(WeChat({"/cgi-bin/media/get": endless}))
    gateway = Gateway(scene, wechat.url)
    gateway.call("/cgi-bin/menu/get")
    before = gateway.program.memory_mib()
    with connect(gateway) as connection:
        connection.sendall(head(gateway, method="GET", path="/cgi-bin/media/get"))
        until("WeChat does not go on sending to a caller that does not read", lambda: (sent[0], time.sleep(1))[0] == sent[0])
        assert sent[0] < SIZE, f"{sent[0] >> 20} MiB were taken from WeChat for a caller that does not read"
    until("the upstream's connection ends with the caller's", lambda: wechat.exchanges[-1].connection.socket.fileno() == -1)
    grown = gateway.program.memory_mib() - before
    assert grown < 25, f"{grown:.0f} MiB more"


@case
def an_answer_before_the_end_of_the_upload_reaches_the_caller(scene):
    def too_large(exchange):
        exchange.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nless")
        time.sleep(1)
        return False

    wechat = scene.started(WeChat({"/cgi-bin/media/upload": too_large}))
    gateway = Gateway(scene, wechat.url)
    with connect(gateway) as connection:
        connection.sendall(head(gateway, f"Content-Length: {SIZE}") + PIECE)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.read()) == (413, b"less")


@case
def a_slow_answer_is_waited_for(scene):
    def slow(exchange):
        exchange.body()
        time.sleep(8)
        exchange.answer(b"late, and right")

    wechat = scene.started(WeChat({"/cgi-bin/slow": slow}))
    gateway = Gateway(scene, wechat.url)
    answer = gateway.call("/cgi-bin/slow")
    assert answer is not None and answer.body == b"late, and right", answer


@case
def a_truncated_answer_is_never_passed_on_as_complete(scene):
    def cut(kind, framing, part):
        def handle(exchange):
            exchange.body()
            exchange.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode() + part)
            time.sleep(0.2)
            return False

        return handle

    paths = {
        "/json": cut("application/json", "Content-Length: 100", b'{"errcode":0}'),
        "/json/chunks": cut("application/json", "Transfer-Encoding: chunked", b'd\r\n{"errcode":0}\r\n'),
        "/image": cut("image/png", "Content-Length: 100000", b"\x89PNG" * 100),
        "/image/chunks": cut("image/png", "Transfer-Encoding: chunked", b"4\r\n\x89PNG\r\n"),
        "/nothing": lambda exchange: False,
        "/garbage": lambda exchange: (exchange.send(b"no HTTP at all\r\n\r\n"), False)[1],
    }
    wechat = scene.started(WeChat(paths))
    gateway = Gateway(scene, wechat.url)
    for path in paths:
        try:
            answer = gateway.call(path)
        except AssertionError as error:
            assert "ends too early" in str(error), error
            continue
        assert answer is None or answer.status == 502, (path, answer)


run()
