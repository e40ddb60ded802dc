"""When the gateway requests a new real token, with the exact number of requests, and when it repeats a call.
gateway_refresh.py BINARY"""

import asyncio
import gzip
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from cases import case, run
from program import CHINA, Answer, until
from script import HEAD_END
from wechat import INVALID, Gateway, WeChat, as_json, errcode

MENU = "/cgi-bin/menu/get"


@case
def a_thousand_callers_at_the_start_share_one_token_request(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    wechat.token_delay_s = 0.5
    check_all(many(gateway, 1000))
    assert wechat.calls == [(gateway.account.appid, False)], wechat.calls


@case
def a_thousand_callers_share_one_token_request_when_the_token_expires(scene):
    wechat = scene.started(WeChat(lifetimes=[4]))
    gateway = Gateway(scene, wechat.url)
    assert errcode(gateway.call(MENU)) == 0
    time.sleep(4.5)
    wechat.token_delay_s = 0.3
    check_all(many(gateway, 1000))
    assert wechat.calls == [(gateway.account.appid, False)] * 2, wechat.calls


@case
def a_thousand_callers_share_one_token_request_when_another_process_replaced_the_token(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    assert errcode(gateway.call(MENU)) == 0
    wechat.new_token(gateway.account.appid)
    check_all(many(gateway, 1000, b"{}"))
    assert wechat.calls == [(gateway.account.appid, False)] * 2, wechat.calls


@case
def very_short_lived_tokens_do_not_flood_wechat(scene):
    wechat = scene.started(WeChat(lifetimes=[1] * 100_000))
    gateway = Gateway(scene, wechat.url)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        gateway.call(MENU)
    idle_from = len(wechat.calls)
    time.sleep(5)
    print(
        f"       tokens of one second: {idle_from} fetches for 5 s of calls, then {len(wechat.calls) - idle_from} in 5 s without"
    )
    assert wechat.forced <= 1 and len(wechat.calls) - idle_from <= 20, wechat.calls[-20:]


async def _many(address, request, count):
    host, port = address.split(":")
    streams = [await asyncio.open_connection(host, int(port)) for _ in range(count)]

    async def ask(reader, writer):
        writer.write(request)
        head = await reader.readuntil(HEAD_END)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")).split(b":")[1]
        body = await reader.readexactly(int(length))
        writer.close()
        return head, body

    return await asyncio.gather(*(ask(*stream) for stream in streams))


def many(gateway, count, body=b""):
    """So many calls at the same time, each on its own connection, opened before."""
    request = (
        f"POST {MENU}?access_token={gateway.token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    return asyncio.run(_many(gateway.program.address, request, count))


def check_all(answers):
    wrong = [answer for answer in answers if json.loads(answer[1]).get("errcode") != 0]
    assert not wrong, (len(wrong), wrong[:3])


def rejecting(codes, path=MENU, encode=None):
    """Answers with these error codes one after the other, then with success."""
    codes = list(codes)

    def handle(exchange):
        exchange.body()
        value = {"errcode": codes.pop(0), "errmsg": "as told rid: 6a000000-0-0"} if codes else {"errcode": 0, "errmsg": "ok"}
        body = json.dumps(value).encode()
        if encode and encode in (exchange.header("accept-encoding") or ""):
            exchange.answer(gzip.compress(body), type="application/json", headers=[("Content-Encoding", "gzip")])
        else:
            exchange.answer(body, type="application/json; encoding=utf-8")

    return {path: handle}


@case
def a_token_that_another_process_replaced_is_requested_again(scene):
    """One normal token request, and the call is repeated. The caller does not notice."""
    for code in (40001, 40014, 42001):
        wechat = scene.started(WeChat())
        wechat.invalid = {**INVALID, "errcode": code}
        gateway = Gateway(scene, wechat.url)
        assert errcode(gateway.call(MENU)) == 0
        wechat.new_token(gateway.account.appid)
        assert errcode(gateway.call(MENU, b'{"a":1}')) == 0, code
        bodies = [exchange.body() for exchange in wechat.seen(MENU)]
        assert bodies == [b"", b'{"a":1}', b'{"a":1}'], (code, bodies)
        assert (wechat.normal, wechat.forced) == (2, 0), (code, wechat.calls)


@case
def if_the_same_token_is_returned_a_refresh_is_forced(scene):
    """WeChat refuses a token that stable_token still returns. Only then one refresh is forced."""
    wechat = scene.started(WeChat(rejecting([40001])))
    gateway = Gateway(scene, wechat.url)
    first = gateway.call(MENU, b"{}")
    assert errcode(first) == 0, first
    assert (wechat.normal, wechat.forced) == (2, 1), wechat.calls
    tokens = [wechat.token_of(exchange) for exchange in wechat.seen(MENU)]
    assert len(tokens) == 2 and tokens[0] != tokens[1], tokens


@case
def a_compressed_error_is_recognised(scene):
    """wechatpy accepts gzip, and WeChat may use it."""
    wechat = scene.started(WeChat(rejecting([40001], encode="gzip")))
    gateway = Gateway(scene, wechat.url)
    answer = gateway.call(MENU, b"{}", headers={"Accept-Encoding": "gzip, deflate"})
    body = gzip.decompress(answer.body) if answer.headers.get("Content-Encoding") == "gzip" else answer.body
    assert json.loads(body)["errcode"] == 0, answer
    assert wechat.forced == 1, wechat.calls


@case
def repeated_40001_force_one_refresh(scene):
    wechat = scene.started(WeChat(rejecting([40001] * 1000)))
    gateway = Gateway(scene, wechat.url)
    answer = gateway.call(MENU, b"{}")
    assert errcode(answer) == 40001 and b"as told rid: 6a000000" in answer.body, "the second error is WeChat's, as it was"
    assert len(wechat.seen(MENU)) == 2, "sent once more, not more often"
    assert wechat.forced == 1, wechat.calls
    calls, started = 0, time.monotonic()
    while calls < 50 and time.monotonic() - started < 15:
        assert errcode(gateway.call(MENU, b"{}")) == 40001
        calls += 1
    assert wechat.forced == 1, f"forced {wechat.forced} times within 30 s"
    print(f"       {len(wechat.seen(MENU))} requests refused, {wechat.normal} normal fetches, 1 forced")


@case
def at_most_ten_refreshes_a_day_are_forced_even_with_restarts(scene):
    wechat = scene.started(WeChat(rejecting([40001] * 1000)))
    moment = datetime.now(CHINA).replace(hour=1)
    gateway = Gateway(scene, wechat.url, options=("--now", moment.isoformat()))
    counts = []
    for number in range(13):
        gateway.program.stop()
        moment += timedelta(seconds=40)
        gateway.program.start("--now", moment.isoformat())
        assert errcode(gateway.call(MENU, b"{}")) == 40001
        counts.append(wechat.forced)
    gateway.program.stop()
    gateway.program.start("--now", (moment + timedelta(seconds=5)).isoformat())
    gateway.call(MENU, b"{}")
    assert counts == [*range(1, 11), 10, 10, 10], f"forced in all, restart by restart 40 s apart: {counts}"
    gateway.program.stop()
    gateway.program.start("--now", (moment + timedelta(hours=25)).isoformat())
    gateway.token = gateway.new_token()
    gateway.call(MENU, b"{}")
    assert wechat.forced == 11, f"the next day it may again: {wechat.forced}"


@case
def a_restart_within_30_s_forces_no_second_refresh(scene):
    wechat = scene.started(WeChat(rejecting([40001] * 1000)))
    now = ("--now", datetime.now(CHINA).isoformat())
    gateway = Gateway(scene, wechat.url, options=now)
    for _ in range(3):
        assert errcode(gateway.call(MENU, b"{}")) == 40001
        gateway.program.stop()
        gateway.program.start(*now)
    assert wechat.forced == 1, f"forced {wechat.forced} times within 30 s"


@case
def other_errors_are_passed_on_unchanged(scene):
    said = {
        "/45009": b'{"errcode":45009,"errmsg":"reach max api daily quota limit rid: 1"}',
        "/48001": b'{"errcode":48001,"errmsg":"x"}',
        "/40003": b'{"errcode": 40003, "errmsg": "invalid openid"}',
        "/41001": b'{"errcode":41001,"errmsg":"missing"}',
        "/nested": b'{"list":[{"errcode":40001,"errmsg":"x"}],"data":{"errcode":42001}}',
        "/number": b"40001",
        "/text": b'{"content":"{\\"errcode\\":40001}","errcode":0}',
        "/list": b'[{"errcode":40001}]',
        "/cut": b'{"errcode":40001',
        "/twice": b'{"errcode":0,"errmsg":"errcode 40001 \\"errcode\\":40001"}',
        "/key": b'{"\\"errcode\\":40001":1}',
    }
    paths = {path: lambda exchange, body=body: exchange.answer(body, type="application/json") for path, body in said.items()}
    paths["/image"] = lambda exchange: exchange.answer(b'{"errcode":40001,"errmsg":"x"}', type="image/png")
    large = b'{"errcode":40001,"errmsg":"' + b"x" * 65536 + b'"}'
    paths["/large"] = lambda exchange: exchange.answer(large, type="application/json")
    wechat = scene.started(WeChat(paths))
    gateway = Gateway(scene, wechat.url)
    for path in paths:
        answer = gateway.call(path, b"{}")
        assert answer.body == {**said, "/image": b'{"errcode":40001,"errmsg":"x"}', "/large": large}[path], (
            path,
            answer.body[:100],
        )
        assert len(wechat.seen(path)) == 1, f"{path} was sent twice"
    assert wechat.calls == [(gateway.account.appid, False)], wechat.calls


@case
def errors_in_text_and_in_json_with_spaces_are_recognised(scene):
    said = {
        "/plain": ("text/plain", b'{"errcode":40001,"errmsg":"x"}'),
        "/html": ("text/html; charset=utf-8", b'{"errcode" : 42001 , "errmsg":"x"}'),
        "/spaced": ("application/json", b' \n{ "errmsg": "x",\n "errcode": 40014 }\n'),
        "/edge": ("application/json", b'{"errcode":40001,"errmsg":"%s"}' % (b"x" * (65536 - 30))),
        "/chunked": ("application/json", None),
    }

    def once(kind, body):
        bodies = [body]

        def handle(exchange):
            exchange.body()
            if not bodies:
                return as_json(exchange, {"errcode": 0})
            if (body := bodies.pop()) is not None:
                return exchange.answer(body, type=kind)
            pieces = [b'{"err', b'code":', b"42001}"]
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                time.sleep(0.05)
                exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            exchange.send(b"0\r\n\r\n")

        return handle

    for path, (kind, body) in said.items():
        wechat = scene.started(WeChat({path: once(kind, body)}))
        gateway = Gateway(scene, wechat.url)
        assert errcode(gateway.call(path, b"{}")) == 0, path
        assert len(wechat.seen(path)) == 2 and wechat.forced == 1, (path, wechat.calls)
        gateway.program.kill()


@case
def a_body_over_1_mib_is_not_sent_twice(scene):
    mib = 1 << 20
    for size, chunked, times in ((mib, False, 2), (mib, True, 2), (mib + 1, False, 1), (mib + 1, True, 1)):
        wechat = scene.started(WeChat(rejecting([40001], "/cgi-bin/upload")))
        gateway = Gateway(scene, wechat.url)
        body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
        answer = upload(gateway, body, chunked)
        assert errcode(answer) == (0 if times == 2 else 40001), (size, chunked, answer)
        seen = [exchange.body() for exchange in wechat.seen("/cgi-bin/upload")]
        assert seen == [body] * times, (size, chunked, [len(each) for each in seen])
        assert (wechat.normal, wechat.forced) == (2, 1), ("refreshed all the same", wechat.calls)
        assert errcode(gateway.call(MENU)) == 0
        gateway.program.kill()


def upload(gateway, body, chunked):
    if not chunked:
        return gateway.call("/cgi-bin/upload", body)
    connection = http.client.HTTPConnection(gateway.program.address, timeout=120)
    pieces = (body[at : at + 60000] for at in range(0, len(body), 60000))
    connection.request("POST", f"/cgi-bin/upload?access_token={gateway.token}", pieces, encode_chunked=True)
    answer = connection.getresponse()
    return Answer(answer.status, None, answer.read(), answer.headers, 0)


@case
def a_late_40001_for_the_previous_token_causes_no_refresh(scene):
    """Two calls use the old token. The 40001 of the second comes after the refresh for the first."""
    held, go_on = [], threading.Event()

    def slow(exchange):
        exchange.body()
        if not held:
            held.append(1)
            assert go_on.wait(120)
            return as_json(exchange, INVALID)
        return as_json(exchange, {"errcode": 0})

    wechat = scene.started(WeChat({"/slow": slow, **rejecting([40001])}))
    gateway = Gateway(scene, wechat.url)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(gateway.call, "/slow", b"{}")
        until("it is at WeChat", lambda: wechat.seen("/slow"))
        assert errcode(gateway.call(MENU, b"{}")) == 0
        assert (wechat.normal, wechat.forced) == (2, 1), wechat.calls
        go_on.set()
        assert errcode(late.result()) == 0
    assert (wechat.normal, wechat.forced) == (2, 1), wechat.calls
    assert len(wechat.seen("/slow")) == 2


run()
