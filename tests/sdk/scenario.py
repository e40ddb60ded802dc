"""The scenario that every Python driver sends and checks. The callbacks are made with the crypto of wechatpy."""

import hashlib
import json
import os
import pathlib
from datetime import datetime

import requests
import xmltodict
from wechatpy.crypto import WeChatCrypto

SCENARIO = json.loads(pathlib.Path(__file__).with_name("scenario.json").read_text(encoding="utf-8"))
# The server runs with --now at this time.
NOW = datetime.fromisoformat("2026-03-02T09:00:00+08:00")

BASE = os.environ["MSGCUBE_TEST_BASE"]
APPID = os.environ["MSGCUBE_TEST_APPID"]
SECRET = os.environ["MSGCUBE_TEST_SECRET"]
TOKEN = os.environ["MSGCUBE_TEST_TOKEN"]
AES_KEY = os.environ["MSGCUBE_TEST_AES_KEY"]
CALLBACK = f"{BASE}/callback/{APPID}"

CONTENT = {
    "text": "<Content><![CDATA[你好 & <b>]]></Content>",
    "image": "<PicUrl><![CDATA[http://example.invalid/p]]></PicUrl><MediaId><![CDATA[m]]></MediaId>",
    "voice": "<MediaId><![CDATA[m]]></MediaId><Format><![CDATA[amr]]></Format>",
    "video": "<MediaId><![CDATA[m]]></MediaId><ThumbMediaId><![CDATA[t]]></ThumbMediaId>",
    "shortvideo": "<MediaId><![CDATA[m]]></MediaId><ThumbMediaId><![CDATA[t]]></ThumbMediaId>",
    "link": "<Title><![CDATA[t]]></Title><Description><![CDATA[d]]></Description><Url><![CDATA[u]]></Url>",
    "location": "<Location_X>23.1</Location_X><Location_Y>113.3</Location_Y><Scale>20</Scale><Label><![CDATA[l]]></Label>",
    "event": "<Event><![CDATA[subscribe]]></Event><EventKey><![CDATA[]]></EventKey>",
}


def messages():
    """The messages of the scenario as XML."""
    for group in SCENARIO["groups"]:
        start = int(datetime.fromisoformat(group["at"]).timestamp())
        for index in range(group["count"]):
            msg_id = f"<MsgId>{int(group['first_msg_id']) + index}</MsgId>" if group["first_msg_id"] else ""
            yield (
                "<xml><ToUserName><![CDATA[gh_sdktest]]></ToUserName>"
                f"<FromUserName><![CDATA[{group['user']}]]></FromUserName>"
                f"<CreateTime>{start + index * group['step_s']}</CreateTime>"
                f"<MsgType><![CDATA[{group['type']}]]></MsgType>{CONTENT[group['type']]}{msg_id}</xml>"
            )


def plain_query(nonce, timestamp=None):
    """The signed query of a plain callback, at the time of the server."""
    timestamp = str(timestamp or int(NOW.timestamp()))
    signature = hashlib.sha1("".join(sorted([TOKEN, timestamp, nonce])).encode()).hexdigest()
    return {"signature": signature, "timestamp": timestamp, "nonce": nonce}


def post(session, query, body):
    return session.post(CALLBACK, params=query, data=body.encode(), headers={"Content-Type": "text/xml"}, timeout=100)


def encrypted(xml, nonce, appid=APPID, token=TOKEN, timestamp=None):
    """Query and body of an encrypted callback, made by wechatpy."""
    timestamp = str(timestamp or int(NOW.timestamp()))
    body = WeChatCrypto(token, AES_KEY, appid).encrypt_message(xml, nonce, timestamp)
    signature = xmltodict.parse(body)["xml"]["MsgSignature"]
    query = {"timestamp": timestamp, "nonce": nonce, "encrypt_type": "aes", "msg_signature": signature}
    return query, body


def send_all():
    """Sends the scenario encrypted. Sends some messages again, encrypted again or in plain: repeats do not count."""
    with requests.Session() as session:
        for index, xml in enumerate(messages()):
            sent = [encrypted(xml, f"n{index}", timestamp=1_500_000_000 if index % 5 == 0 else None)]
            if index % 3 == 0:
                sent.append(encrypted(xml, f"again{index}"))
            if index % 4 == 0:
                sent.append((plain_query(f"plain{index}"), xml))
            for query, body in sent:
                answer = post(session, query, body)
                assert (answer.status_code, answer.text) == (200, "success"), (answer.status_code, answer.text, xml)


def check_refusals():
    """Sends callbacks that must be refused with a 4xx. The exact rows afterwards show that they changed nothing."""
    xml = next(messages()).replace("user-anna", "an intruder")
    old = int(NOW.timestamp()) - 4000
    with requests.Session() as session:
        refused = {
            "signed with another token": encrypted(xml, "x1", token="another"),
            "for another appid": encrypted(xml, "x2", appid="wx0000000000000fff"),
            "plain, signature of another nonce": ({**plain_query("x3"), "nonce": "other"}, xml),
            "plain and older than an hour": (plain_query("x4", old), xml),
            "with a document type": (plain_query("x5"), f"<!DOCTYPE xml [<!ENTITY a 'b'>]>{xml}"),
        }
        for why, (query, body) in refused.items():
            answer = post(session, query, body)
            assert 400 <= answer.status_code < 500 and answer.text != "success", (why, answer.status_code, answer.text)


def check_verification():
    """The address check of the console: the exact echostr is returned, and only for a right signature."""
    query = {**plain_query("echo", 1_500_000_000), "echostr": "5837397 <&>é"}
    answer = requests.get(CALLBACK, params=query, timeout=100)
    assert (answer.status_code, answer.content) == (200, "5837397 <&>é".encode()), (answer.status_code, answer.content)
    answer = requests.get(CALLBACK, params={**query, "signature": "0" * 40}, timeout=100)
    assert answer.status_code == 401, answer.status_code


def stable_token(force_refresh=False):
    body = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": force_refresh}
    return requests.post(f"{BASE}/cgi-bin/stable_token", json=body, timeout=100).json()["access_token"]


def superseded_token():
    """A token that was replaced just now, so it gives 40001."""
    token = stable_token()
    assert stable_token(force_refresh=True) != token
    return token
