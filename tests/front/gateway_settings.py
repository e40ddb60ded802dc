"""Settings of the gateway: giving out real tokens, an existing token server, and history that only WeChat has.
gateway_settings.py BINARY"""

import json
import time
from datetime import datetime, timedelta

from callbacks import Account, message
from cases import case, run
from program import CHINA, until
from script import Script
from wechat import REAL_SECRET, Gateway, WeChat, as_json, errcode

HINT = "answered by WeChat"
MENU = "/cgi-bin/menu/get"


def real(gateway, wechat):
    return wechat.tokens[gateway.account.appid][0]


@case
def the_real_token_is_given_out_if_configured(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url, upstream={"expose_real_token": True})
    account, program = gateway.account, gateway.program
    time.sleep(2)
    issued = gateway.issued()
    assert issued["access_token"] == real(gateway, wechat), issued
    assert 7000 <= issued["expires_in"] <= 7199 and type(issued["expires_in"]) is int, issued
    get = program.ask("GET", f"/cgi-bin/token?grant_type=client_credential&appid={account.appid}&secret={account.secret}")
    assert json.loads(get.body)["access_token"] == real(gateway, wechat), get
    wrong = program.ask("GET", f"/cgi-bin/token?grant_type=client_credential&appid={account.appid}&secret=wrong")
    assert errcode(wrong) == 40125 and b"REALtoken" not in wrong.body
    assert errcode(gateway.call(MENU)) == 0
    assert account.post(program, account.safe(message())).body == b"success"
    today = str(datetime.now(CHINA).date() - timedelta(days=1))
    dates = json.dumps({"begin_date": today, "end_date": today}).encode()
    assert gateway.call("/datacube/getupstreammsg", dates).status == 200
    assert len(wechat.calls) == 1, wechat.calls

    program.stop()
    program.start()
    assert errcode(gateway.call(MENU)) == 0, "an SDK that holds the real token goes on after a restart"
    old = gateway.token
    wechat.new_token(account.appid)
    gateway.call(MENU, b"{}")
    assert gateway.issued()["access_token"] == real(gateway, wechat) != old
    for _ in range(5):
        gateway.issued(force=True)
    print(f"       a caller forced 5 refreshes: {wechat.forced} were forced at WeChat")
    assert wechat.forced <= 1, wechat.calls


@case
def the_real_token_is_refused_if_it_was_not_given_out(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    assert errcode(gateway.call(MENU)) == 0
    passed = len(wechat.seen(MENU))
    assert errcode(gateway.call(MENU, token=real(gateway, wechat))) == 40001
    assert errcode(gateway.call("/datacube/getupstreammsg", b"{}", token=real(gateway, wechat))) == 40001
    assert len(wechat.seen(MENU)) == passed


@case
def an_existing_token_server_replaces_wechat(scene):
    wechat = scene.started(WeChat())

    def token_server(exchange):
        exchange.body()
        token, end = wechat.tokens.get(account.appid) or wechat.new_token(account.appid)
        return as_json(exchange, {"access_token": token, "expires_in": int(end - time.time())})

    server = scene.started(Script(token_server))
    account = Account(settings={"upstream_secret": REAL_SECRET})
    gateway = Gateway(scene, wechat.url, account, {"token_url": server.url + "/tokens?for=us"})
    assert errcode(gateway.call(MENU)) == 0
    asked = server.exchanges[0]
    print(f"       the token server was asked: {asked.method} {asked.target} {asked.body()}")
    assert asked.target.startswith("/tokens?for=us")
    assert gateway.token.encode() not in server.received()
    before = len(server.exchanges)
    wechat.new_token(account.appid)
    assert errcode(gateway.call(MENU, b"{}")) == 0
    assert len(server.exchanges) == before + 1, [exchange.body() for exchange in server.exchanges]
    assert not wechat.calls, "stable_token is not asked"


@case
def what_both_sides_know_is_passed_on(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    for path, body in {
        "/cgi-bin/openapi/quota/get": {"cgi_path": "/cgi-bin/message/custom/send"},
        "/cgi-bin/openapi/rid/get": {"rid": "61725984-6126f6f9-040f19c4"},
        "/cgi-bin/clear_quota": {"appid": gateway.account.appid},
    }.items():
        assert errcode(gateway.call(path, json.dumps(body).encode())) == 0, path
        assert json.loads(wechat.seen(path)[0].body()) == body


# --- history that only WeChat has


def month_ago():
    return (datetime.now(CHINA).date().replace(day=1) - timedelta(days=1)).replace(day=1)


@case
def history_before_the_first_message_comes_from_wechat(scene):
    """Another msgcube plays WeChat. It has the past, the first one only the present."""
    past = Account(secret=REAL_SECRET)
    wechat = scene.msgcube(past.toml(), name="wechat")
    begin = month_ago()
    line = {
        "FromUserName": "oPast",
        "CreateTime": int(datetime(begin.year, begin.month, 3, tzinfo=CHINA).timestamp()),
        "MsgType": "text",
        "MsgId": 1,
    }
    wechat.own("POST", f"/v1/accounts/{past.appid}/messages", json.dumps(line).encode())
    account = Account(settings={"upstream_secret": REAL_SECRET})
    gateway = Gateway(scene, f"http://{wechat.address}", account)
    until("covered from now on", lambda: gateway.program.stats(account.appid)["coverage"]["since"])

    dates = json.dumps({"begin_date": str(begin), "end_date": str(begin)}).encode()
    answer = gateway.call("/datacube/getupstreammsgmonth", dates)
    assert json.loads(answer.body)["list"][0]["msg_count"] == 1, answer
    assert answer.headers.get("X-Msgcube-Hint") == HINT, answer.headers.items()

    forced = {"grant_type": "client_credential", "appid": past.appid, "secret": REAL_SECRET, "force_refresh": True}
    wechat.ask("POST", "/cgi-bin/stable_token", json.dumps(forced).encode())
    answer = gateway.call("/datacube/getupstreammsgmonth", dates)
    assert json.loads(answer.body)["list"][0]["msg_count"] == 1, ("another process replaced WeChat's token", answer)

    for body, wanted in ((b"", 44002), (b"x", 47001), (b"{}", 61500), (dates.replace(b'end_date": "2', b'end_date": "3'), 61501)):
        answer = gateway.call("/datacube/getupstreammsgmonth", body)
        assert errcode(answer) == wanted and answer.headers.get("X-Msgcube-Hint") != HINT, (body, answer)
    # once coverage of the month is claimed, it is answered here
    gateway.program.own("POST", f"/v1/accounts/{account.appid}/messages?covers={begin}..{begin + timedelta(days=4)}", b"")
    answer = gateway.call("/datacube/getupstreammsgmonth", dates)
    assert json.loads(answer.body) == {"list": []} and answer.headers.get("X-Msgcube-Hint") != HINT, (
        answer,
        answer.headers.items(),
    )
    wechat.kill()
    earlier = (begin - timedelta(days=1)).replace(day=1)
    dates = json.dumps({"begin_date": str(earlier), "end_date": str(earlier)}).encode()
    answer = gateway.call("/datacube/getupstreammsgmonth", dates)
    assert answer is not None and answer.status == 502, answer


@case
def history_is_answered_here_if_configured(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url, upstream={"uncovered": "counted"})
    begin = month_ago()
    dates = json.dumps({"begin_date": str(begin), "end_date": str(begin)}).encode()
    answer = gateway.call("/datacube/getupstreammsgmonth", dates)
    assert json.loads(answer.body) == {"list": []} and answer.headers.get("X-Msgcube-Hint") != HINT, answer
    assert not wechat.seen("/datacube/")


run()
