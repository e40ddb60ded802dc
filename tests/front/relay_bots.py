"""The relay with unmodified bots of wechatpy and npm `wechat`: requests and answers are passed on byte for byte, and the
figures are exact.  relay_bots.py BINARY"""

import json
import os
import pathlib
import subprocess
import sys
import time
from datetime import date

import xmltodict
from wechatpy.crypto import WeChatCrypto

from callbacks import Account, message
from cases import case, run
from script import Script
from wire import Wire

HERE = pathlib.Path(__file__).parent
BOTS = {
    "wechatpy": [sys.executable, HERE / "bots" / "wechatpy_bot.py"],
    "wechat": ["node", "--no-deprecation", HERE / "bots" / "wechat_bot.js"],
}
LIVE = "[datacube]\nlive = true\n"


class Bot:
    """The process of a bot, with a recording wire before it."""

    def __init__(self, name, account):
        self.process = subprocess.Popen(
            [*BOTS[name], account.token, account.key, account.appid],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "NODE_PATH": str(HERE.parents[1] / ".test-env/node/node_modules")},
        )
        self.wire = Wire(self.process.stdout.readline().strip())

    def close(self):
        self.process.kill()
        self.wire.close()


def beside(scene, name, **settings):
    """A bot with msgcube before it."""
    account = Account(settings=settings)
    bot = scene.started(Bot(name, account))
    program = scene.msgcube(LIVE + account.toml(relay=bot.wire.url + "/wechat"))
    return account, bot, program


def check_passed_on(bot, index, callback, answer, content_type="text/xml"):
    """Checks that the newest exchange of the bot is exactly this callback and this answer."""
    seen, replied = list(bot.wire.exchanges())[index]
    query, body = callback
    assert (seen.method, seen.target) == ("POST", f"/wechat?{query}"), (seen.method, seen.target, query)
    assert seen.header("content-type") == content_type, seen.headers
    assert seen.header("host") == bot.wire.url.removeprefix("http://"), seen.headers
    assert seen.body() == body, (seen.body(), body)
    assert replied == (answer.status, answer.type, answer.body), f"the bot sent {replied}, this came back: {answer}"


def all_modes_and_replies(scene, name):
    account, bot, program = beside(scene, name)
    sent = 0
    for mode in (account.plain, account.compatible, account.safe):
        for text in ("xml", "success", "empty"):
            xml = message(user=f"oUser{sent % 4}", text=f"{text} {sent}")
            for callback in (mode(xml), mode(xml)):
                answer = account.post(program, callback)
                assert answer is not None and answer.status == 200, (mode.__name__, text, answer, bot.wire.connections)
                check_passed_on(bot, sent, callback, answer)
                check_reply(account, mode, text, callback, answer)
                sent += 1
    # A connection that has just answered may not be back in the pool when the next callback comes.
    assert len(bot.wire.connections) <= 3, f"connections are kept alive, and not made anew: {len(bot.wire.connections)}"
    # each was sent twice
    assert program.counted(account.appid) == {"text": sent // 2}, program.stats(account.appid)
    samples = program.metrics()
    assert any("relay" in sample and "seconds" in sample for sample in samples), f"the target's time is not in {samples}"
    check_the_seven(program, account, messages=sent // 2, users=2)


def check_reply(account, mode, text, callback, answer):
    """Checks that the bot gave the requested reply in the mode of the request."""
    if text != "xml":
        assert answer.body == (b"success" if text == "success" else b""), answer
        return
    reply = answer.body.decode()
    assert ("Encrypt" in reply) == (mode != account.plain), reply
    assert "& 你好 <b>" in (reply if mode == account.plain else opened(account, reply)), reply


def opened(account, sealed):
    """A sealed reply as WeChat opens it."""
    fields = xmltodict.parse(sealed)["xml"]
    crypto = WeChatCrypto(account.token, account.key, account.appid)
    opened = crypto.decrypt_message(sealed, fields["MsgSignature"], fields["TimeStamp"], fields["Nonce"])
    return opened if isinstance(opened, str) else opened.decode()


def check_the_seven(program, account, messages, users):
    body = {"grant_type": "client_credential", "appid": account.appid, "secret": account.secret}
    token = json.loads(program.ask("POST", "/cgi-bin/stable_token", json.dumps(body).encode()).body)["access_token"]
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))
    first = date.fromisoformat(today).replace(day=1)
    for name, begin in (("getupstreammsg", today), ("getupstreammsgmonth", first), ("getupstreammsgweek", today)):
        dates = json.dumps({"begin_date": str(begin), "end_date": str(begin)}).encode()
        answer = json.loads(program.ask("POST", f"/datacube/{name}?access_token={token}", dates).body)
        counted = sum(row["msg_count"] for row in answer["list"])
        if name != "getupstreammsgweek" or date.fromisoformat(today).weekday() == 0:
            assert (counted, answer["list"][0]["msg_user"]) == (messages, users), (name, answer)


@case
def wechatpy_in_all_modes(scene):
    all_modes_and_replies(scene, "wechatpy")


@case
def npm_wechat_in_all_modes(scene):
    all_modes_and_replies(scene, "wechat")


@case
def the_query_reaches_the_target_byte_for_byte(scene):
    target = scene.started(Script(lambda exchange: exchange.answer()))
    account = Account()
    program = scene.msgcube(account.toml(relay=target.url + "/wechat"))
    query, body = account.plain(message())
    odd = [
        query,
        query.replace("nonce=n", "nonce=%6e"),
        query + "&",
        query + "&&x",
        query + "&a=%2B+%20&b=%e4%bd%a0&c='(!*)~",
        query + "&redirect=http://a/?b|c^d`e{f}\\",
        "openid=first&" + query,
        query + "&x=%zz&y=%",
    ]
    for number, form in enumerate(odd):
        answer = account.post(program, (form, body), content_type='text/xml; Charset="UTF-8"')
        assert answer is not None and answer.body == b"success", (form, answer)
        assert len(target.exchanges) == number + 1, f"not passed on: {form}"
        seen = target.exchanges[-1]
        assert seen.target == f"/wechat?{form}", f"sent {form}, the target saw {seen.target}"
        assert seen.header("content-type") == 'text/xml; Charset="UTF-8"', seen.headers
    assert program.counted(account.appid) == {"text": 1}


@case
def bodies_reach_the_target_byte_for_byte(scene):
    target = scene.started(Script(lambda exchange: exchange.answer()))
    account = Account()
    program = scene.msgcube(account.toml(relay=target.url + "/wechat"))
    room = 65536 - len(message(msg_id=7, text="").encode())
    bodies = {
        "64 KiB": (message(msg_id=7, text="x" * room), "text/xml"),
        "JSON": (
            '{"ToUserName":"gh","FromUserName":"o","CreateTime":%d,"MsgType":"text","MsgId":8}' % time.time(),
            "application/json",
        ),
        "blanks and a mark around it": ("\ufeff \r\n" + message(msg_id=9) + "\n\n", None),
        "a document type in what the user wrote": (message(msg_id=10, text="<!DOCTYPE xml [<!ENTITY a 'b'>]>"), "text/plain"),
    }
    for why, (body, content_type) in bodies.items():
        before = len(target.exchanges)
        answer = account.post(program, account.plain(body), content_type)
        assert answer is not None and answer.body == b"success", (why, answer)
        assert len(target.exchanges) == before + 1, f"not passed on: {why}"
        seen = target.exchanges[-1]
        assert (seen.body(), seen.header("content-type")) == (body.encode(), content_type), (why, seen.headers)
    assert program.counted(account.appid) == {"text": len(bodies)}, program.stats(account.appid)


@case
def authenticated_callbacks_are_passed_on_whatever_they_contain(scene):
    """Callbacks that msgcube quarantines or refuses for their content. They worked without msgcube, so they still must."""
    target = scene.started(Script(lambda exchange: exchange.answer(b"<xml>from the bot</xml>", type="text/xml")))
    url = target.url + "/wechat"
    account = Account()
    known, keyless = Account(appid="wxfront0000000003", settings={"original_id": "gh_front"}), Account(appid="wxfront0000000004")
    program = scene.msgcube(
        "".join([account.toml(url), known.toml(url), keyless.toml(url, encoding_aes_key=None)])
    )
    sent = {
        "CreateTime of 1": (account, account.plain(message(create_time=1))),
        "CreateTime of 1, encrypted": (account, account.safe(message(create_time=1))),
        "two days ahead": (account, account.plain(message(create_time=int(time.time()) + 172800))),
        "no message, plain": (account, account.plain("<xml><MsgType>text</MsgType></xml>")),
        "no message, encrypted": (account, account.safe("<xml><MsgType>text</MsgType></xml>")),
        "no XML": (account, account.plain("hello")),
        "no XML, encrypted": (account, account.safe("hello")),
        "an empty body": (account, account.plain("")),
        "not UTF-8": (account, account.plain(b"<xml>\xff\xfe</xml>")),
        "JSON that is cut off": (account, account.plain('{"FromUserName":"o"')),
        "to another receiver, plain": (known, known.plain(message(to="gh_other"))),
        "to another receiver, encrypted": (known, known.safe(message(to="gh_other"))),
        "safe mode without a key": (keyless, keyless.safe(message())),
        "platform's probe": (account, account.plain('{"action":"CheckContainerPath"}')),
    }
    for why, (to, callback) in sent.items():
        before = len(target.exchanges)
        answer = to.post(program, callback)
        assert answer is not None, f"closed: {why}"
        assert len(target.exchanges) == before + 1, f"not passed on: {why}: {answer}"
        seen = target.exchanges[-1]
        assert (seen.query, seen.body()) == callback, (why, seen.target, seen.body())
        assert (answer.status, answer.type, answer.body) == (200, "text/xml", b"<xml>from the bot</xml>"), (why, answer)
    for each in (account, known, keyless):
        assert program.counted(each.appid) == {}, program.stats(each.appid)
    assert len(program.aside(account.appid)) == 3, program.aside(account.appid)
    reasons = "".join(name for name, value in program.metrics().items() if "callbacks" in name and value)
    for reason in (
        "create_time_before_2011",
        "create_time_ahead",
        "wrong_to_user",
        "malformed",
        "key_missing",
    ):
        assert reason in reasons, f"{reason} is not counted: {reasons}"


@case
def callbacks_that_are_not_authenticated_never_reach_the_target(scene):
    target = scene.started(Script(lambda exchange: exchange.answer()))
    account, strict = Account(), Account(appid="wxfront0000000002", settings={"require_encryption": True})
    program = scene.msgcube(account.toml(target.url + "/wechat") + strict.toml(target.url + "/wechat"))
    other = Account(token="another")
    xml, declared = message(), '<!DOCTYPE xml [<!ENTITY a "b">]>' + message()
    query, body = account.safe(xml)
    broken = query.replace("msg_signature=", "msg_signature=0")
    unsigned = "&".join(part for part in query.split("&") if "signature" not in part)
    refused = {
        "signed with another token": other.plain(xml),
        "signed with another token, encrypted": other.safe(xml),
        "right signature, wrong msg_signature": (broken, body),
        "no signature": (unsigned, body),
        "no query": ("", body),
        "for another appid": account.encrypted(xml, appid="wxfront0000000009"),
        "a document type, plain": account.plain(declared),
        "a document type, encrypted": account.safe(declared),
        "a document type around Encrypt": (query, b"<!DOCTYPE xml>" + body),
        "over 64 KiB": account.plain(message(text="x" * 65536)),
        "Encrypt beside a right plain signature only": (account.plain("")[0], body),
    }
    for why, callback in refused.items():
        answer = account.post(program, callback)
        assert answer is not None and 400 <= answer.status < 500, (why, answer)
        assert (answer.status == 413) == (why == "over 64 KiB"), (why, answer)
    stale = int(time.time()) - 4000
    unvouched = {
        "older than an hour": (account, account.plain(xml, timestamp=stale)),
        "old and no message": (account, account.plain("hello", timestamp=stale)),
        "an hour ahead": (account, account.plain(xml, timestamp=stale + 8000)),
        "a timestamp that is none": (account, account.plain(xml, timestamp="yesterday")),
        "plain where encryption is required": (strict, strict.plain(xml)),
        "plain and old where encryption is required": (strict, strict.plain(xml, timestamp=stale)),
    }
    for why, (to, callback) in unvouched.items():
        answer = to.post(program, callback)
        assert answer is not None and answer.status == 401, (why, answer)
    reasons = "".join(name for name, value in program.metrics().items() if "callbacks" in name and value)
    assert "stale_timestamp" in reasons and "encryption_required" in reasons, reasons
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        program.ask(method, f"/callback/{account.appid}?{query}", None if method in ("GET", "HEAD") else body)
    assert program.ask("POST", f"/callback/wxfront0000000009?{query}", body).status == 404
    answer = program.ask("GET", f"/callback/{account.appid}?{account.plain('', echostr='5837397 <&>é')[0]}")
    assert (answer.status, answer.body.decode()) == (200, "5837397 <&>é"), answer
    assert not target.connections, f"the target saw {target.received()}"
    assert program.counted(account.appid) == {}
    gaps = program.gaps(account.appid)
    assert all(end - begin < 5 for begin, end in gaps), gaps


@case
def answers_of_the_target_are_returned_unchanged(scene):
    """Any status, type and framing. A redirect is an answer like any other."""
    plain = lambda status, type, body: lambda exchange: exchange.answer(body, status, type)
    raw = lambda text: lambda exchange: (exchange.body(), exchange.send(text.encode()), False)[-1]
    elsewhere = scene.started(Script(lambda exchange: exchange.answer(b"followed")))
    moved = lambda status: lambda exchange: exchange.answer(b"moved", status, "text/html", [("Location", elsewhere.url + "/")])
    answers = {
        "404": (plain("404 Not Found", "text/html", b"<h1>no</h1>"), (404, "text/html", b"<h1>no</h1>")),
        "500": (
            plain("500 Oops", "text/html; charset=gbk", b"\xc4\xe3\x00\xff"),
            (500, "text/html; charset=gbk", b"\xc4\xe3\x00\xff"),
        ),
        "502": (plain("502 Bad Gateway", None, b""), (502, None, b"")),
        "503": (plain("503 Wait", "text/plain", b"success"), (503, "text/plain", b"success")),
        "no type": (plain("200 OK", None, b"success"), (200, None, b"success")),
        "an unknown status": (plain("299 Odd", "x/y", b"z"), (299, "x/y", b"z")),
        "301": (moved("301 Moved"), (301, "text/html", b"moved")),
        "302": (moved("302 Found"), (302, "text/html", b"moved")),
        "307": (moved("307 Temporary"), (307, "text/html", b"moved")),
        "204": (raw("HTTP/1.1 204 No Content\r\n\r\n"), (204, None, b"")),
        "chunked": (
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nA: b\r\n\r\n"),
            (200, None, b"abcdefg"),
        ),
        "until it closes": (raw("HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nold"), (200, "a/b", b"old")),
        "after an interim one": (
            raw("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            (200, None, b"ok"),
        ),
    }
    account = Account()
    for why, (handle, wanted) in answers.items():
        target = scene.started(Script(handle))
        program = scene.msgcube(account.toml(relay=target.url), name=why.replace(" ", "-"))
        answer = account.post(program, account.plain(message()))
        assert answer is not None and (answer.status, answer.type, answer.body) == wanted, (why, answer)
        assert program.counted(account.appid) == {"text": 1}, why
        program.kill()
    assert not elsewhere.exchanges, "a redirect was followed"


@case
def compressed_answers_stay_readable(scene):
    """WeChat did not ask for compression, so the relay must not ask the target for it."""
    target = scene.started(Script(lambda exchange: exchange.answer()))
    account = Account()
    program = scene.msgcube(account.toml(relay=target.url))
    account.post(program, account.plain(message()))
    assert target.exchanges[0].header("accept-encoding") in (None, "identity"), target.exchanges[0].headers


run()
