"""A fake WeChat for the gateway. stable_token gives out real tokens, and all other paths check them."""

import json
import time
from urllib.parse import parse_qs

from callbacks import Account
from script import Script

REAL_SECRET = "secret-that-only-WeChat-and-msgcube-know"
INVALID = {
    "errcode": 40001,
    "errmsg": "invalid credential, access_token is invalid or not latest rid: 6a000000-00000000-00000000",
}


def as_json(exchange, value, **more):
    exchange.answer(json.dumps(value).encode(), type="application/json; encoding=utf-8", **more)


class WeChat(Script):
    """`paths` are the answers to calls with a right token. Other paths answer {"errcode":0,"errmsg":"ok"}."""

    def __init__(self, paths=(), port=0, keep_bytes=True, lifetimes=()):
        self.paths = dict(paths)
        self.tokens = {}
        # lifetimes of the first tokens in seconds; later ones have 7200
        self.lifetimes = list(lifetimes)
        self.issued = 0
        # for each call of stable_token: the appid, and whether it was forced
        self.calls = []
        self.token_delay_s = 0
        # the answer to a wrong token
        self.invalid = INVALID
        super().__init__(self._answer, port, keep_bytes)

    def _answer(self, exchange):
        if exchange.path.startswith("/cgi-bin/stable_token"):
            return self._stable_token(exchange)
        answer = self.paths.get(exchange.path, lambda exchange: as_json(exchange, {"errcode": 0, "errmsg": "ok"}))
        if exchange.path.startswith("/sns/") or self.token_of(exchange) in [token for token, _ in self.tokens.values()]:
            return answer(exchange)
        return as_json(exchange, self.invalid)

    def token_of(self, exchange):
        tokens = parse_qs(exchange.query, keep_blank_values=True).get("access_token", [])
        assert len(tokens) < 2, f"more than one token: {exchange.query}"
        return tokens[0] if tokens else None

    def _stable_token(self, exchange):
        asked = json.loads(exchange.body())
        time.sleep(self.token_delay_s)
        if asked["secret"] != REAL_SECRET:
            return as_json(exchange, {"errcode": 40125, "errmsg": f"invalid appsecret rid: {asked['appid']}"})
        force = asked.get("force_refresh", False)
        self.calls.append((asked["appid"], force))
        token, end = self.tokens.get(asked["appid"], ("", 0))
        if force or end - time.time() < 1:
            token, end = self.new_token(asked["appid"])
        return as_json(exchange, {"access_token": token, "expires_in": max(int(end - time.time() + 0.5), 0)})

    def new_token(self, appid):
        """Replaces the previous token, as any other process with the secret can."""
        self.issued += 1
        end = time.time() + (self.lifetimes.pop(0) if self.lifetimes else 7200)
        self.tokens[appid] = (f"98_REALtoken-{appid}-{self.issued:04}_{'x' * 90}", end)
        return self.tokens[appid]

    @property
    def normal(self):
        return sum(not forced for _, forced in self.calls)

    @property
    def forced(self):
        return sum(forced for _, forced in self.calls)


class Gateway:
    """msgcube before an upstream, and an access token of msgcube."""

    def __init__(self, scene, base, account=None, upstream=None, options=(), more=""):
        self.account = account or Account(settings={"upstream_secret": REAL_SECRET})
        settings = {"base": base, **(upstream or {})}
        lines = "".join(
            f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n" for key, value in settings.items()
        )
        self.program = scene.msgcube(f"{self.account.toml()}{more}\n[upstream]\n{lines}", *options)
        self.token = self.new_token()

    def new_token(self, account=None, force=False):
        return self.issued(account, force)["access_token"]

    def issued(self, account=None, force=False):
        account = account or self.account
        body = {"grant_type": "client_credential", "appid": account.appid, "secret": account.secret, "force_refresh": force}
        answer = self.program.ask("POST", "/cgi-bin/stable_token", json.dumps(body).encode())
        found = json.loads(answer.body)
        assert "access_token" in found, found
        return found

    def call(self, path, body=None, method=None, headers=(), token=None, timeout=120):
        """Calls with the token in the query, as SDKs do."""
        target = f"{path}{'&' if '?' in path else '?'}access_token={token or self.token}"
        return self.program.ask(method or ("GET" if body is None else "POST"), target, body, headers, timeout)


def errcode(answer):
    assert answer is not None and answer.status == 200, answer
    return json.loads(answer.body).get("errcode")
