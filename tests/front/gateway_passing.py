"""What the gateway passes on and how, and what it answers itself.  gateway_passing.py BINARY"""

import json
import socket
from datetime import datetime, timedelta
from urllib.parse import unquote

from callbacks import Account
from cases import case, run
from program import CHINA, ask
from script import Script
from wechat import INVALID, REAL_SECRET, Gateway, WeChat, as_json, errcode

MENU = "/cgi-bin/menu/get"


def real(gateway, wechat):
    return wechat.tokens[gateway.account.appid][0]


# --- what is passed on, and how


@case
def a_request_arrives_unchanged_except_for_token_and_host(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    gateway.call(MENU)
    ours, theirs = gateway.token, real(gateway, wechat)
    hop_by_hop = {
        "Connection": "keep-alive, X-Named",
        "X-Named": "1",
        "Keep-Alive": "timeout=5",
        "Proxy-Authorization": "Basic eA==",
        "Proxy-Connection": "keep-alive",
        "TE": "trailers",
        "Trailer": "X-End",
        "Upgrade": "h2c",
    }
    kept = {
        "Content-Type": "application/json;charset=UTF-8",
        "User-Agent": "some SDK/1.0",
        "X-Other": "a, b",
        "Cookie": "c=d",
        "Accept-Encoding": "gzip, deflate",
        "Accept": "*/*",
    }
    targets = {
        f"/cgi-bin/a?access_token={ours}": f"/cgi-bin/a?access_token={theirs}",
        f"/cgi-bin/a/b?x=%2F+1&access_token={ours}&y=a,b&z": f"/cgi-bin/a/b?x=%2F+1&access_token={theirs}&y=a,b&z",
        f"/x/%e4%bd%a0/y?access_token={ours}&to=http://a/?b": f"/x/%e4%bd%a0/y?access_token={theirs}&to=http://a/?b",
        f"/card//x;v=1/?&&access_token={ours}&": f"/card//x;v=1/?&&access_token={theirs}&",
    }
    for method, body in (("POST", b'{"a": "\xe4\xbd\xa0"}\n'), ("GET", None), ("PUT", b"x"), ("DELETE", None), ("PATCH", b"y")):
        for target, wanted in targets.items():
            headers = {**hop_by_hop, **kept, "Authorization": "Bearer front-test-admin-key"}
            answer = gateway.program.ask(method, target, body, headers)
            assert errcode(answer) == 0, (method, target, answer)
            seen = wechat.exchanges[-1]
            assert (seen.method, seen.target, seen.body()) == (method, wanted, body or b""), (seen.method, seen.target, wanted)
            assert seen.header("host") == wechat.address, seen.headers
            names = [name for name, _ in seen.headers]
            for name in ["authorization", *(name.lower() for name in hop_by_hop if name != "Connection")]:
                assert name not in names, f"{name} is passed on: {seen.headers}"
            assert "x-named" not in (seen.header("connection") or "").lower()
            for name, value in kept.items():
                assert seen.header(name.lower()) == value or name == "Accept-Encoding", (name, seen.headers)
    assert ours.encode() not in wechat.received()


@case
def an_answer_arrives_unchanged(scene):
    def answer(status, kind, body, *headers):
        return lambda exchange: exchange.answer(body, status, kind, headers)

    elsewhere = scene.started(Script(lambda exchange: exchange.answer(b"followed")))
    paths = {
        "/a": (answer("200 OK", "application/json; encoding=utf-8", b'{"a":\n "\xe4\xbd\xa0",  "b":1.0}'), 200),
        "/b": (answer("404 Not Found", "text/html", b"<h1>404</h1>"), 404),
        "/c": (answer("500 Oops", None, b"\x00\xff"), 500),
        "/d": (answer("302 Found", "text/html", b"moved", ("Location", elsewhere.url + "/x")), 302),
        "/e": (
            answer("200 OK", "image/png", b"\x89PNG\r\n", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Errno", "0")),
            200,
        ),
        "/f": (
            answer("200 OK", "text/plain", b"x", ("Connection", "X-Named"), ("X-Named", "1"), ("Keep-Alive", "timeout=9")),
            200,
        ),
        "/g": (answer("502 Bad Gateway", "text/html", b"WeChat's own"), 502),
        "/h": (lambda exchange: exchange.send(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"), 204),
        "/i": (lambda exchange: exchange.send(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"), 304),
    }
    wechat = scene.started(WeChat({path: handle for path, (handle, _) in paths.items()}))
    gateway = Gateway(scene, wechat.url)
    for path, (_, status) in paths.items():
        through = gateway.call(path)
        assert through is not None, path
        straight = ask(wechat.address, "GET", f"{path}?access_token={real(gateway, wechat)}")
        assert (through.status, through.type, through.body) == (status, straight.type, straight.body), (path, through, straight)
        # A browser may take an answer without a type for a page.
        sandbox = "sandbox" if (straight.type or "text/html").startswith("text/html") else None
        assert through.headers.get("Content-Security-Policy") == sandbox, (path, through.headers.items())
        dropped = {"content-security-policy", "connection", "keep-alive", "x-named", "transfer-encoding", "content-length", "date"}
        listed = lambda answer: sorted((n.lower(), v) for n, v in answer.headers.items() if n.lower() not in dropped)
        assert listed(through) == listed(straight), (path, through.headers.items(), straight.headers.items())
        assert not {"keep-alive", "x-named"} & {name.lower() for name in through.headers}, through.headers.items()
    assert not elsewhere.exchanges, "a redirect was followed"
    head = gateway.call("/a", method="HEAD")
    assert head is not None and head.status == 200 and head.body == b"", head


@case
def the_upstream_base_may_have_a_path(scene):
    wechat = scene.started(WeChat())

    def below(exchange):
        exchange.target = exchange.target.removeprefix("/mirror")
        return wechat.handle(exchange)

    paths = scene.started(Script(below))
    gateway = Gateway(scene, paths.url + "/mirror")
    assert errcode(gateway.call(MENU)) == 0
    heads = [exchange.head.split(b" ")[1] for exchange in paths.exchanges]
    assert all(head.startswith(b"/mirror/cgi-bin/") for head in heads), heads


@case
def each_account_has_its_own_real_token(scene):
    wechat = scene.started(WeChat())
    other = Account(appid="wxfront0000000002", secret="other-secret", settings={"upstream_secret": REAL_SECRET})
    gateway = Gateway(scene, wechat.url, more=other.toml())
    for account in (gateway.account, other):
        token = gateway.new_token(account)
        assert errcode(gateway.call(MENU, token=token)) == 0
        assert wechat.token_of(wechat.exchanges[-1]) == wechat.tokens[account.appid][0]
    assert sorted(appid for appid, _ in wechat.calls) == [gateway.account.appid, other.appid]


# --- what is answered here


@case
def a_wrong_token_is_answered_here(scene):
    wechat = scene.started(WeChat())
    begin = datetime.now(CHINA)
    gateway = Gateway(scene, wechat.url, options=("--now", begin.isoformat()))
    unknown = "98_REALtoken-of-somebody"
    for target, wanted in {
        MENU: 41001,
        MENU + "?": 41001,
        MENU + "?access_token=": 41001,
        MENU + "?access_token": 41001,
        f"{MENU}?access_token={unknown}": 40001,
        f"{MENU}?access_token={gateway.token}x": 40001,
        f"{MENU}?access_token=%ff": 40001,
        f"{MENU}?ACCESS_TOKEN={gateway.token}": 41001,
        "/any/path": 41001,
        "/datacube/getusersummary": 41001,
        f"{MENU}?access_token={gateway.account.secret}": 40001,
    }.items():
        answer = gateway.program.ask("GET", target)
        assert errcode(answer) == wanted, (target, answer)
        assert " rid: " in json.loads(answer.body)["errmsg"], answer
    body = json.dumps({"access_token": gateway.token}).encode()
    assert errcode(gateway.program.ask("POST", MENU, body)) == 41001, "a token in a body is none"

    superseded = gateway.token
    gateway.token = gateway.new_token(force=True)
    assert errcode(gateway.call(MENU, token=superseded)) == 40001
    gateway.program.stop()
    gateway.program.start("--now", (begin + timedelta(hours=3)).isoformat())
    assert errcode(gateway.call(MENU)) == 42001
    assert all(exchange.path == "/cgi-bin/stable_token" for exchange in wechat.exchanges), "a wrong token was passed on"


@case
def a_token_in_an_unusual_form_never_leaks(scene):
    """A repeated or percent-encoded token is refused, or replaced everywhere."""
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    other = gateway.issued(force=False)["access_token"]
    credentials = f"grant_type=client_credential&appid={gateway.account.appid}&secret={gateway.account.secret}"
    get = gateway.program.ask("GET", f"/cgi-bin/token?{credentials}")
    second = json.loads(get.body)["access_token"]
    encoded = "".join(f"%{ord(letter):02X}" for letter in gateway.token)
    queries = [
        f"access_token={gateway.token}&access_token={gateway.token}",
        f"access_token={gateway.token}&access_token={second}",
        f"access_token=x&access_token={gateway.token}",
        f"access_token={gateway.token}&access_token=x",
        f"access_token=&access_token={gateway.token}",
        f"access_token={gateway.token}&access_token=",
        f"access_token={encoded}",
        f"access%5Ftoken={gateway.token}",
        f"%61ccess_token={encoded}",
        f"access_token={gateway.token}&access%5Ftoken={second}",
        f"a=1;access_token={gateway.token}",
        f"access_token={gateway.token}%20",
        f"access_token=+{gateway.token}",
        f"access_token={gateway.token}#access_token={second}",
    ]
    for query in queries:
        answer = gateway.program.ask("GET", f"{MENU}?{query}")
        assert errcode(answer) in (0, 40001, 41001), (query, answer)
    received = unquote(wechat.received().decode("latin-1"))
    for token in (gateway.token, second, other):
        assert token not in received, [each.target for each in wechat.exchanges]


@case
def our_own_paths_are_never_passed_on(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    own = ["/v1", "/callback", "/component", "/cloud", "/metrics", "/healthz", "/readyz"]
    paths = [
        "/",
        *own,
        *(path + "/" for path in own),
        *(path + "/x/y" for path in own),
        "/v1/accounts",
        "/cloud/admin",
        "/callback/wx/more",
        "/component/wx/events",
        "/component/wx/callback/wx2",
        "/callback/" + gateway.account.appid,
    ]
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
            answer = gateway.call(path, method=method, body=b"{}" if method in ("POST", "PUT") else None)
            assert answer is not None, (method, path)
    for path in ("/cgi-bin/token", "/cgi-bin/stable_token", "/datacube/getupstreammsg"):
        for method in ("GET", "POST", "PUT"):
            gateway.call(path, method=method, body=b"{}" if method != "GET" else None)
    passed = [each.target for each in wechat.exchanges if REAL_SECRET.encode() not in each.body()]
    assert not passed, f"passed on: {passed}"
    near = ["/v1x", "/callbacks", "/componentx", "/cloudy", "/metric", "/cgi-bin/component/api_x", "/x/v1", "/cgi-bin/v1/metrics"]
    for path in near:
        assert errcode(gateway.call(path)) == 0, f"{path} is WeChat's"


@case
def paths_with_dots_do_not_bypass_the_check(scene):
    """Only /sns goes to WeChat without a token, and the path is never changed."""
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    host, port = gateway.program.address.split(":")
    for target in (
        "/sns/../cgi-bin/menu/get",
        "/sns/%2e%2e/cgi-bin/menu/get",
        "/sns/..%2fcgi-bin/menu/get",
        "/snsx/y",
        "/SNS/x",
        "/x/../sns/userinfo",
        "//sns/userinfo",
        "/.//sns/userinfo",
        "http://evil.example/sns/userinfo",
    ):
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            came = b""
            while data := connection.recv(4096):
                came += data
        passed = [exchange.target for exchange in wechat.exchanges if exchange.path != "/cgi-bin/stable_token"]
        path = target.removeprefix("http://evil.example")
        allowed = ([], [path]) if path.startswith("/sns/") else ([],)
        assert passed in allowed, f"{target} was passed on as {passed}, and answered with {came}"
        wechat.exchanges.clear()


@case
def sns_is_passed_on_unchanged(scene):
    wechat = scene.started(WeChat({"/sns/userinfo": lambda exchange: as_json(exchange, {"openid": "o"})}))
    gateway = Gateway(scene, wechat.url)
    query = "access_token=a-user's%20token&openid=o&lang=zh_CN"
    answer = gateway.program.ask("GET", f"/sns/userinfo?{query}", headers={"Authorization": "Bearer x", "X-A": "b"})
    assert json.loads(answer.body) == {"openid": "o"}
    assert wechat.exchanges[-1].query == query and wechat.exchanges[-1].header("authorization") is None
    wrong = scene.started(WeChat({"/sns/userinfo": lambda exchange: as_json(exchange, INVALID)}))
    gateway = Gateway(scene, wrong.url)
    gateway.call(MENU)
    before = len(wrong.calls)
    assert errcode(gateway.program.ask("GET", f"/sns/userinfo?{query}")) == 40001
    assert len(wrong.calls) == before and len(wrong.seen("/sns/")) == 1, "a user's token is not ours to refresh"
    assert gateway.program.ask("POST", "/sns/oauth2/access_token?appid=a&secret=b&code=c", b"x").status == 200


@case
def without_upstream_other_paths_are_not_found(scene):
    program = scene.msgcube(Account().toml())
    for path in (MENU, "/sns/userinfo", "/x"):
        assert program.ask("GET", f"{path}?access_token=x").status == 404, path


@case
def an_unreachable_base_gives_502(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url)
    assert errcode(gateway.call(MENU)) == 0
    wechat.close()
    answer = gateway.call(MENU)
    assert answer is not None and answer.status == 502, answer
    assert json.loads(answer.body)["errcode"] == -1 and b"127.0.0.1" not in answer.body, answer
    answer = gateway.program.ask("GET", "/sns/userinfo?access_token=x")
    assert answer is not None and answer.status == 502, answer
    gateway = Gateway(scene, wechat.url)
    answer = gateway.call(MENU)
    assert answer is not None and answer.status == 502, ("without a real token yet", answer)


@case
def the_caller_is_told_about_a_wrong_upstream_secret(scene):
    wechat = scene.started(WeChat())
    gateway = Gateway(scene, wechat.url, account=Account(settings={"upstream_secret": "wrong"}))
    answer = gateway.call(MENU)
    assert answer is not None and errcode(answer) == 40125, ("not one of those for which an SDK fetches tokens for ever", answer)
    assert not wechat.seen(MENU)


run()
