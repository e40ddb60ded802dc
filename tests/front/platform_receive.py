"""An unmodified wechatpy component as the real platform: it decrypts passed-on callbacks with its own crypto, answers users,
and calls WeChat through the gateway.  platform_receive.py BINARY"""

import json
import time
from urllib.parse import parse_qsl

from wechatpy import parse_message
from wechatpy.client.api import WeChatDataCube
from wechatpy.component import WeChatComponent
from wechatpy.replies import create_reply

from callbacks import AES_KEY, Account, message
from cases import case, run
from outcome import Nobody
from program import until
from script import Script

COMPONENT, SECRET, TOKEN = "wxcomponent0000001", "component-secret", "componentToken"
ONE = "wxone0000000000001"


class Platform(WeChatComponent):
    """The component of wechatpy, and its two addresses for events and messages."""

    def __init__(self, bound=None):
        super().__init__(COMPONENT, SECRET, TOKEN, AES_KEY)
        self.told, self.texts = [], []
        self.script = Script(self.handle, bound=bound)

    def handle(self, exchange):
        query = dict(parse_qsl(exchange.query))
        proof = (query["msg_signature"], query["timestamp"], query["nonce"])
        if exchange.path == "/events":
            self.told.append(self.parse_message(exchange.body(), *proof))
            return exchange.answer()
        received = parse_message(self.crypto.decrypt_message(exchange.body(), *proof))
        self.texts.append((exchange.path, received.content))
        reply = create_reply(f"to {received.content}", received).render()
        sealed = self.crypto.encrypt_message(reply, query["nonce"], query["timestamp"])
        return exchange.answer(sealed.encode(), type="text/xml")

    def close(self):
        self.script.close()


def wechat(exchange):
    """A fake WeChat for the calls of a platform."""
    asked = json.loads(exchange.body() or b"{}")
    name = exchange.path.rsplit("/", 1)[-1]
    answers = {
        "api_component_token": lambda: {"component_access_token": "C1", "expires_in": 7200},
        "api_query_auth": lambda: {
            "authorization_info": {
                "authorizer_appid": ONE,
                "authorizer_access_token": "A1",
                "expires_in": 7200,
                "authorizer_refresh_token": "R1",
                "func_info": [],
            }
        },
        "api_authorizer_token": lambda: {
            "authorizer_access_token": "A2",
            "expires_in": 7200,
            "authorizer_refresh_token": "R2",
        },
        "getupstreammsg": lambda: {"list": [{"ref_date": "2020-01-01", "msg_type": 1, "msg_user": 5, "msg_count": 7}]},
        "get": lambda: {"menu": {"button": []}},
    }
    assert name == "api_component_token" or "token=" in exchange.query, exchange.target
    assert name != "api_component_token" or asked["component_verify_ticket"] == "ticket@@@1", asked
    exchange.answer(json.dumps(answers[name]()).encode(), type="application/json; encoding=utf-8")


def config(upstream, platform_port):
    base = f"http://127.0.0.1:{platform_port}"
    return f"""
[upstream]
base = "{upstream.url}"
[[component]]
appid = "{COMPONENT}"
secret = "{SECRET}"
token = "{TOKEN}"
encoding_aes_key = "{AES_KEY}"
role = "receive"
push_url = "{base}/events"
[component.relay]
url = "{base}/$APPID$/message"
"""


# Sealed as WeChat does for a platform: with the token, key and appid of the platform.
SEALER = Account(appid=COMPONENT, token=TOKEN, key=AES_KEY)


def push(program, path, xml, clear=f"<AppId><![CDATA[{COMPONENT}]]></AppId>"):
    query, body = SEALER.encrypted(xml, clear=clear)
    answer = program.ask("POST", f"/component/{COMPONENT}/{path}?{query}", body, {"Content-Type": "text/xml"})
    assert answer is not None and answer.status == 200, (path, answer)
    return answer.body


def event(info_type, **fields):
    more = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    return (
        f"<xml><AppId><![CDATA[{COMPONENT}]]></AppId><CreateTime>{int(time.time())}</CreateTime>"
        f"<InfoType><![CDATA[{info_type}]]></InfoType>{more}</xml>"
    )


def driven(program, platform):
    """The component calls WeChat through msgcube. Only the host differs from production."""
    base = f"http://{program.address}"
    platform.API_BASE_URL = f"{base}/cgi-bin"
    client = platform.get_client_by_appid(ONE)
    client.API_BASE_URL = f"{base}/cgi-bin/"
    return client, base


@case
def a_platform_continues_to_work_and_its_accounts_are_counted(scene):
    upstream = scene.started(Script(wechat))
    platform = scene.started(Platform())
    program = scene.msgcube(config(upstream, platform.script.port))
    platform.API_BASE_URL = f"http://{program.address}/cgi-bin"
    assert push(program, "events", event("component_verify_ticket", ComponentVerifyTicket="ticket@@@1")) == b"success"
    until("the ticket is there", lambda: platform.component_verify_ticket == "ticket@@@1")
    # On `authorized` wechatpy requests the tokens at once through the gateway.
    push(program, "events", event("authorized", AuthorizerAppid=ONE, AuthorizationCode="code", PreAuthCode="p"))
    until("the platform knows the account", lambda: len(platform.told) == 2)
    reply = push(program, f"callback/{ONE}", message(to="gh_one", text="hello"))
    assert b"<Encrypt>" in reply and platform.texts == [(f"/{ONE}/message", "hello")], (reply, platform.texts)
    assert program.counted(ONE) == {"text": 1}, program.stats(ONE)
    client, base = driven(program, platform)
    assert client.menu.get() == {"menu": {"button": []}}
    assert upstream.seen("/cgi-bin/menu/get")[-1].query == "access_token=A1"
    # The seven interfaces: covered time is answered here, earlier time by WeChat with the token of the caller.
    WeChatDataCube.API_BASE_URL = f"{base}/datacube/"
    rows = client.datacube.get_upstream_msg("2020-01-01", "2020-01-01")
    assert rows[0]["msg_count"] == 7, rows
    assert upstream.seen("/datacube/")[-1].query == "access_token=A1"
    assert not upstream.seen("/cgi-bin/stable_token"), "no secret of the account is known, and none is needed"
    program.kill()
    program.start()
    client, _ = driven(program, platform)
    assert client.menu.get() == {"menu": {"button": []}}, "its token is known after a kill"
    accounts = program.own("GET", "/v1/accounts")["accounts"]
    assert [account["platforms"][0]["status"] for account in accounts] == ["authorized"], accounts


@case
def events_wait_for_a_platform_that_is_down(scene):
    upstream = scene.started(Script(wechat))
    nobody = scene.started(Nobody())
    program = scene.msgcube(config(upstream, nobody.port))
    assert push(program, "events", event("component_verify_ticket", ComponentVerifyTicket="ticket@@@1")) == b"success"
    program.kill()
    program.start()
    platform = scene.started(Platform(nobody.socket))
    platform.API_BASE_URL = f"http://{program.address}/cgi-bin"
    until("the ticket is there", lambda: platform.component_verify_ticket == "ticket@@@1")
    shown = program.own("GET", f"/v1/components/{COMPONENT}/ticket")
    assert shown == {"component_verify_ticket": "ticket@@@1"}, shown



run()
