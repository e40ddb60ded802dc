"""The gateway with callers and upstreams that break off, answer too early, or attack.  gateway_attacks.py BINARY"""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

from h2.errors import ErrorCodes

from cases import case, run
from http2 import Http2
from program import until
from script import HEAD_END, Gone, Script
from wechat import INVALID, Gateway, WeChat, as_json, errcode

MENU = "/cgi-bin/menu/create"


def connect(gateway):
    host, port = gateway.program.address.split(":")
    return socket.create_connection((host, int(port)), timeout=120)


def raw(gateway, request):
    """Everything that is received until the connection ends or is silent for a second."""
    with connect(gateway) as connection:
        connection.sendall(request)
        connection.settimeout(1)
        came = b""
        try:
            while data := connection.recv(65536):
                came += data
        except TimeoutError:
            pass
        return came


def post(gateway, *lines, path=MENU):
    token = "a-users" if path.startswith("/sns/") else gateway.token
    head = [f"POST {path}?access_token={token} HTTP/1.1", "Host: api.weixin.qq.com", *lines]
    return "\r\n".join(head).encode() + HEAD_END


@case
def an_interrupted_upload_never_arrives_as_complete(scene):
    whole, started, broken = [], [], []

    def watch(exchange):
        started.append(exchange)
        try:
            whole.append(exchange.body())
        except Gone:
            broken.append(exchange)
            raise
        as_json(exchange, {"errcode": 0})

    wechat = scene.started(WeChat({MENU: watch}))
    gateway = Gateway(scene, wechat.url)
    gateway.call("/cgi-bin/menu/get")
    # larger than the part that is read before it is sent: 64 KiB with a length, 1 MiB in chunks
    chunk = b"%x\r\n%s\r\n" % (2 << 20, b"x" * (2 << 20))
    beginnings = [
        post(gateway, "Content-Length: 3000000") + chunk,
        post(gateway, "Transfer-Encoding: chunked") + chunk,
        post(gateway, "Transfer-Encoding: chunked") + chunk + b'a\r\n{"ha',
        post(gateway, "Transfer-Encoding: chunked") + chunk + b"ZZ\r\n",
    ]
    for number, beginning in enumerate(beginnings):
        with connect(gateway) as connection:
            connection.sendall(beginning)
            # the last one is invalid from the start, so it may not be sent at all
            until("it is on its way", lambda: len(started) > number or number == len(beginnings) - 1)
            time.sleep(0.3)
        until("it is cut off at WeChat, too", lambda: len(broken) == len(started))
    before = len(started)
    for lines, half in (
        (["Content-Length: 100"], b'{"half":1}'),
        (["Transfer-Encoding: chunked"], b'a\r\n{"half":1}\r\n'),
        (["Transfer-Encoding: chunked"], b'a\r\n{"half":1}\r\nZZ\r\n'),
    ):
        with connect(gateway) as connection:
            connection.sendall(post(gateway, *lines) + half)
    for number in range(40):
        connection = scene.started(Http2(gateway.program.address))
        stream = connection.begin(f"{MENU}?access_token={gateway.token}", b'{"half":1}')
        connection.reset(stream, ErrorCodes.CANCEL if number % 2 else ErrorCodes.NO_ERROR)
    assert errcode(gateway.call("/cgi-bin/menu/get")) == 0
    assert len(started) == before, "a small body sets out when it is whole"
    assert not whole, f"WeChat took {len(whole)} of {len(started)} for whole: {whole}"


@case
def an_early_40001_does_not_shorten_the_repeated_request(scene):
    """WeChat refuses the token while the caller still sends the body."""
    for size, ends in ((300_000, False), (300_000, True), (3_000_000, False)):
        refused, bodies = [], []

        def early(exchange):
            if not refused:
                refused.append(exchange)
                body = json.dumps(INVALID).encode()
                close = "Connection: close\r\n" if ends else ""
                exchange.send(
                    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{close}Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                if ends:
                    time.sleep(0.5)
                    return False
            else:
                as_json(exchange, {"errcode": 0})
                bodies.append(exchange.body())

        wechat = scene.started(WeChat({MENU: early}))
        gateway = Gateway(scene, wechat.url)
        body = bytes(range(250)) * (size // 250)
        with connect(gateway) as connection:
            connection.sendall(post(gateway, f"Content-Length: {len(body)}", "Connection: close") + body[:1000])
            until("refused early", lambda: refused)
            time.sleep(0.3)
            try:
                connection.sendall(body[1000:])
                came = b""
                while data := connection.recv(65536):
                    came += data
            except OSError:
                came = b""
        assert all(each == body for each in bodies), f"{[len(each) for each in bodies]} of {size} bytes were sent again"
        assert not came or came.startswith(b"HTTP/1.1 200") or came.startswith(b"HTTP/1.1 502"), came
        if size > 1 << 20:
            assert not bodies, "a body over 1 MiB is not sent twice"
        said = "sent again whole" if bodies else f"not sent again: {came.split(HEAD_END)[-1][:60]}"
        print(f"       refused early, {size} bytes, {'closed' if ends else 'kept'}: {said}")
        gateway.program.kill()


@case
def a_request_with_both_kinds_of_length_is_one_request(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    gateway.call("/cgi-bin/menu/get")
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = [
        post(gateway, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + hidden,
        post(gateway, f"Content-Length: {len(hidden)}", "Content-Length: 0") + hidden,
        post(gateway, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + hidden,
        post(gateway, "Transfer-Encoding : chunked") + b"0\r\n\r\n" + hidden,
        post(gateway, "X: a\nTransfer-Encoding: chunked", "Content-Length: 0") + hidden,
        post(gateway, "Connection: content-length", f"Content-Length: {len(hidden)}") + hidden,
        post(gateway, "Connection: transfer-encoding", "Transfer-Encoding: chunked")
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden),
        post(gateway, path="/cgi-bin/x%0d%0aX:y"),
        post(gateway, path="/cgi-bin/x%20HTTP/1.1"),
    ]
    for request in requests:
        raw(gateway, request)
    paths = [exchange.path for exchange in wechat.exchanges]
    assert "/hidden" not in paths, paths
    assert not [name for exchange in wechat.exchanges for name, _ in exchange.headers if name == "x"]


@case
def the_gateway_is_no_open_proxy(scene):
    wechat, elsewhere = scene.started(WeChat()), scene.started(Script(lambda exchange: exchange.answer(b"elsewhere")))
    gateway = Gateway(scene, wechat.url)
    token = f"access_token={gateway.token}"
    for request in (
        f"CONNECT {elsewhere.address} HTTP/1.1\r\nHost: {elsewhere.address}\r\n\r\n",
        f"GET {elsewhere.url}/cgi-bin/x?{token} HTTP/1.1\r\nHost: {elsewhere.address}\r\n\r\n",
        f"GET {elsewhere.url}/sns/x HTTP/1.1\r\nHost: {elsewhere.address}\r\n\r\n",
        f"GET //{elsewhere.address}/x?{token} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /@{elsewhere.address}/x?{token} HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: {elsewhere.address}\r\n\r\n",
        f"OPTIONS * HTTP/1.1\r\nHost: {elsewhere.address}\r\n\r\n",
    ):
        raw(gateway, request.encode())
    assert not elsewhere.connections, elsewhere.received()
    assert all(exchange.header("host") == wechat.address for exchange in wechat.exchanges), wechat.received()


@case
def http_2_and_expect_work(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    connection = scene.started(Http2(gateway.program.address))
    stream = connection.post(f"{MENU}?access_token={gateway.token}", b'{"a":1}')
    status, body = connection.outcomes([stream])[stream]
    assert status == "200" and json.loads(body)["errcode"] == 0, (status, body)
    seen = wechat.exchanges[-1]
    assert seen.body() == b'{"a":1}' and seen.header("host") == wechat.address, seen.headers
    assert not [name for name, _ in seen.headers if name.startswith(":")]
    with connect(gateway) as connection:
        connection.sendall(post(gateway, "Content-Length: 7", "Expect: 100-continue"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 100"), "a caller with Expect gets 100"
        connection.sendall(b'{"b":1}')
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert wechat.exchanges[-1].body() == b'{"b":1}'


@case
def a_real_token_with_special_characters_is_harmless(scene):
    tokens = ["a&b=c#d e", "ä/+%2B", "x\r\nX-Injected: y", "", "t" * 2000, 7, None]
    answers = [{"access_token": token, "expires_in": 7200} for token in tokens] + [
        {"expires_in": 7200},
        {"access_token": "T", "expires_in": "7200"},
        {"access_token": "T", "expires_in": -5},
        {"access_token": "T"},
        {"access_token": "T", "expires_in": 1 << 62},
        {"access_token": "T", "expires_in": 7200.5},
        [],
        "token",
    ]

    def attempt(answer):
        def handle(exchange):
            if exchange.path == "/cgi-bin/stable_token":
                return as_json(exchange, answer)
            return as_json(exchange, {"errcode": 0})

        upstream = scene.started(Script(handle))
        gateway = Gateway(scene, upstream.url)
        found = gateway.call(MENU, b"{}")
        assert found is not None, answer
        seen = upstream.seen(MENU)
        assert "x-injected" not in [name for exchange in seen for name, _ in exchange.headers]
        given = answer.get("access_token") if isinstance(answer, dict) else None
        for exchange in seen:
            assert given and parse_qs(exchange.query).get("access_token") == [given], (answer, exchange.target)
        fetches = len(upstream.seen("/cgi-bin/stable_token"))
        assert fetches <= 3, f"{fetches} fetches for one call, by {answer}"
        gateway.program.kill()

    for answer in answers:
        attempt(answer)


@case
def a_hanging_upstream_needs_little_memory(scene):
    """Bodies are kept to be sent again, but only up to a limit."""
    hold = threading.Event()

    def hang(exchange):
        exchange.body()
        exchange._body, exchange.connection.received, exchange.connection.used = b"", bytearray(), 0
        hold.wait(600)

    wechat = scene.started(WeChat({"/sns/hang": hang, "/cgi-bin/hang": hang}, keep_bytes=False))
    body, grown = b"x" * (1 << 20), {}
    for path in ("/sns/hang", "/cgi-bin/hang"):
        gateway = Gateway(scene, wechat.url)
        gateway.call("/cgi-bin/menu/get")
        before = gateway.program.memory_mib()
        connections = [connect(gateway) for _ in range(150)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda c: c.sendall(post(gateway, f"Content-Length: {len(body)}", path=path) + body), connections))
        until("all hang", lambda: len(wechat.seen(path)) == len(connections))
        time.sleep(0.5)
        grown[path] = round(gateway.program.memory_mib() - before)
        for connection in connections:
            connection.close()
    hold.set()
    print(f"       150 hanging calls of 1 MiB needed {grown} MiB more")
    assert grown["/sns/hang"] < 60, f"without a token anybody can make it keep {grown['/sns/hang']} MiB"


@case
def a_graceful_end_does_not_wait_for_endless_streams(scene):
    def endless(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            exchange.send(b"3\r\nabc\r\n")
            time.sleep(0.1)

    wechat = scene.started(WeChat({"/endless": endless}))
    gateway = Gateway(scene, wechat.url)
    with connect(gateway) as connection:
        connection.sendall(post(gateway, "Content-Length: 0", path="/endless"))
        assert connection.recv(100)
        started = time.monotonic()
        gateway.program.stop()
        print(f"       it ended {time.monotonic() - started:.1f} s after SIGTERM")


run()
