"""Callbacks as WeChat sends them, in three modes, made with the crypto of wechatpy."""

import hashlib
import itertools
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import xmltodict
from wechatpy.crypto import WeChatCrypto

from program import ask

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
_numbers = itertools.count(7_400_000_000_000_000_000)
_nonces = itertools.count(1)


def message(user="oUser", text="hi", msg_id=None, create_time=None, to="gh_front", kind="text", extra=""):
    """A text message of now. `extra` is more XML for the body."""
    return (
        f"<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName><![CDATA[{user}]]></FromUserName>"
        f"<CreateTime>{int(time.time()) if create_time is None else create_time}</CreateTime>"
        f"<MsgType><![CDATA[{kind}]]></MsgType><Content><![CDATA[{text}]]></Content>{extra}"
        f"<MsgId>{msg_id or next(_numbers)}</MsgId></xml>"
    )


@dataclass
class Account:
    """An Official Account, and its configuration."""

    appid: str = "wxfront0000000001"
    secret: str = "secret-that-callers-use"
    token: str = "tokenOfTheFrontTests"
    key: str = AES_KEY
    settings: dict = field(default_factory=dict)

    def toml(self, relay=None, **settings):
        """The table of the account. `relay` are the settings of its relay, or only the URL."""
        keys = {"appid": self.appid, "secret": self.secret, "token": self.token, "encoding_aes_key": self.key}
        text = f"\n[[account]]\n{_lines({**keys, **self.settings, **settings})}"
        if relay:
            text += f"[account.relay]\n{_lines(relay if isinstance(relay, dict) else {'url': relay})}"
        return text

    def signed(self, timestamp=None, nonce=None, **more):
        """The query of a plain callback."""
        timestamp, nonce = str(timestamp or int(time.time())), nonce or f"n{next(_nonces)}"
        signature = hashlib.sha1("".join(sorted([self.token, timestamp, nonce])).encode()).hexdigest()
        return {"signature": signature, "timestamp": timestamp, "nonce": nonce, "openid": "oUser", **more}

    def plain(self, xml, **query):
        return urlencode(self.signed(**query)), xml if isinstance(xml, bytes) else xml.encode()

    def encrypted(self, xml, appid=None, clear="<ToUserName><![CDATA[gh_front]]></ToUserName>"):
        """The body has Encrypt and the fields in `clear`: in safe mode only the receiver."""
        query = self.signed()
        sealed = WeChatCrypto(self.token, self.key, appid or self.appid).encrypt_message(xml, query["nonce"], query["timestamp"])
        envelope = xmltodict.parse(sealed)["xml"]
        query |= {"encrypt_type": "aes", "msg_signature": envelope["MsgSignature"]}
        body = f"<xml>{clear}<Encrypt><![CDATA[{envelope['Encrypt']}]]></Encrypt></xml>"
        return urlencode(query), body.encode()

    safe = encrypted

    def compatible(self, xml):
        """The body has Encrypt and all clear fields."""
        return self.encrypted(xml, clear=xml.removeprefix("<xml>").removesuffix("</xml>"))

    def post(self, program, callback, content_type="text/xml", timeout=120):
        """Sends the callback. Returns None if the connection was closed without an answer."""
        query, body = callback
        headers = {"Content-Type": content_type} if content_type else {}
        return ask(program.address, "POST", f"/callback/{self.appid}?{query}", body, headers, timeout)


def _lines(settings):
    return "".join(f"{key} = {_value(value)}\n" for key, value in settings.items() if value is not None)


def _value(value):
    return str(value).lower() if isinstance(value, (bool, int)) else f'"{value}"'
