"""The unmodified third-party platform of wechatpy 1.8.18, behind the front: it takes the pushed ticket and events, gets its
tokens, opens the consent page as a browser would, and calls the seven interfaces for the account."""

import html.parser
import http.server
import os
import queue
import threading
import tomllib
import urllib.parse

import requests
from wechatpy.component import WeChatComponent

import scenario
from front import Front
from wechatpy_calls import call, refused

with open(os.environ["MSGCUBE_TEST_CONFIG"], "rb") as file:
    CONFIG = tomllib.load(file)
SETTINGS = next(one for one in CONFIG["component"] if one["appid"] == os.environ["MSGCUBE_TEST_COMPONENT"])
OWN = f"{scenario.BASE}/v1/components/{SETTINGS['appid']}"
AUTHORIZED = {"Authorization": f"Bearer {CONFIG['admin_key']}"}
WAIT_S = 300


class Platform(http.server.BaseHTTPRequestHandler):
    """The address of the platform for events: records them and answers `success`."""

    pushed = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"success")
        Platform.pushed.put((query, body.decode()))

    def log_message(self, *_):
        pass


class Form(html.parser.HTMLParser):
    """The form fields of a page, as a browser would send them."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.boxes = {}, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        name, value = attributes.get("name"), attributes.get("value") or ""
        if tag != "input" or not name:
            return
        if attributes.get("type") == "checkbox":
            self.boxes.append((name, value))
        else:
            self.fields[name] = value


def next_event(component, kind):
    """The next event of this kind, as wechatpy reads it. Also takes the tickets in between."""
    while True:
        query, body = Platform.pushed.get(timeout=WAIT_S)
        message = component.parse_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
        if message.type == kind:
            return message
        assert message.type == "component_verify_ticket", message


def approve(component, permission_sets):
    """Uses the consent page as the operator of the account. Returns the code that the platform receives."""
    session = requests.Session()
    address = component.get_pre_auth_url("https://platform.example/back?state=1") + f"&auth_type=1&biz_appid={scenario.APPID}"
    page = session.get(address, headers={"Accept-Language": "zh-CN"}, timeout=100)
    assert page.status_code == 200 and "platform.example" in page.text, page.text
    form = Form(page.text)
    boxes = [(name, value) for name, value in form.boxes if int(value) in permission_sets]
    fields = {**form.fields, "appid": scenario.APPID, "secret": scenario.SECRET}
    wrong = session.post(page.url, data=[*{**fields, "secret": "wrong"}.items(), *boxes], timeout=100, allow_redirects=False)
    assert wrong.status_code != 303 and "location" not in wrong.headers and scenario.SECRET not in wrong.text
    done = session.post(page.url, data=[*fields.items(), *boxes], timeout=100, allow_redirects=False)
    assert done.status_code == 303, (done.status_code, done.text)
    back = urllib.parse.urlsplit(done.headers["location"])
    values = dict(urllib.parse.parse_qsl(back.query))
    assert (back.netloc, values["state"], values["expires_in"]) == ("platform.example", "1", "600"), back
    return values["auth_code"]


def authorize(permission_sets):
    """Authorizes as the operator of the server. Returns the code."""
    body = {"appid": scenario.APPID, "permission_sets": permission_sets}
    answer = requests.post(f"{OWN}/authorizations", json=body, headers=AUTHORIZED, timeout=100)
    assert answer.status_code == 200, answer.text
    return answer.json()["auth_code"]


def check_rows(client):
    for case in scenario.SCENARIO["answers"]:
        rows = call(client, case)
        assert rows == case["list"], (case, rows)
    for case in scenario.SCENARIO["errors"]:
        assert refused(lambda: call(client, case)) == (case["errcode"], case["errmsg"]), case


def main():
    port = urllib.parse.urlsplit(SETTINGS["push_url"]).port
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    front = Front(scenario.BASE)
    appid, secret = SETTINGS["appid"], SETTINGS["secret"]
    component = WeChatComponent(appid, secret, SETTINGS["token"], SETTINGS["encoding_aes_key"])
    start = {"component_appid": appid, "component_secret": secret}
    answer = requests.post(f"{scenario.BASE}/cgi-bin/component/api_start_push_ticket", json=start, timeout=100).json()
    assert answer["errcode"] == 0, answer
    next_event(component, "component_verify_ticket")
    pushed = component.component_verify_ticket
    known = requests.get(f"{OWN}/ticket", headers=AUTHORIZED, timeout=100).json()["component_verify_ticket"]
    assert component.fetch_access_token()["expires_in"] == 7200 and pushed and known

    code = approve(component, {1, 2})
    event = next_event(component, "authorized")
    assert event.authorizer_appid == scenario.APPID and event.query_auth_result["authorization_info"]
    info = component.query_auth(code)["authorization_info"]
    granted = {one["funcscope_category"]["id"] for one in info["func_info"]}
    assert granted == {1, 2}, granted
    assert refused(lambda: component.query_auth(code)) == (61010, "code is expired")
    client = component.get_client_by_appid(scenario.APPID)
    check_rows(client)
    assert set(front.hosts) == {"api.weixin.qq.com", "mp.weixin.qq.com"}, front.hosts

    # With an unknown token wechatpy requests another one, each time with its first refresh token.
    for _ in range(3):
        client.session.set(client.access_token_key, "superseded")
        assert call(client, scenario.SCENARIO["answers"][0]) == scenario.SCENARIO["answers"][0]["list"]
    component.session.set("component_access_token", "superseded", 7200)
    shown = component.get_authorizer_info(scenario.APPID)
    assert shown["authorization_info"]["authorizer_appid"] == scenario.APPID, shown
    listed = component.get_authorizer_list()
    assert [one["authorizer_appid"] for one in listed["list"]] == [scenario.APPID] and listed["total_count"] == 1, listed

    authorize([2])
    next_event(component, "updateauthorized")
    assert refused(lambda: call(client, scenario.SCENARIO["answers"][0])) == (61007, "api is unauthorized to component")
    authorize([1])
    next_event(component, "updateauthorized")
    check_rows(component.get_client_by_appid(scenario.APPID))
    gone = requests.delete(f"{OWN}/authorizations/{scenario.APPID}", headers=AUTHORIZED, timeout=100)
    assert gone.status_code == 200, gone.text
    assert next_event(component, "unauthorized").authorizer_appid == scenario.APPID
    assert refused(lambda: call(client, scenario.SCENARIO["answers"][0]))[0] == 61003


scenario.send_all()
main()
print("wechatpy as a third-party platform: ticket, consent, tokens, all rows, errors, refreshes and events as expected")
