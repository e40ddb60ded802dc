"""The dashboard in Chromium: every page in both languages and colours, signing in, connecting an account, live numbers."""

import hashlib
import json
import pathlib
import random
import time
from datetime import datetime
from urllib.parse import urlencode

import cases
from browser import tab
from cases import case
from program import ADMIN_KEY, until

NOW = "2026-11-20T15:20:00+08:00"
HOSTILE = "<img src=x onerror=alert(1)>"
APPIDS = ["wx00000000000000a1", "wx00000000000000a2", "wx00000000000000a3"]
NAMES = ["Harbour City Metro", HOSTILE, ""]
AXE = pathlib.Path(__file__).parents[2] / ".test-env/node/node_modules/axe-core/axe.min.js"
PAGE_BYTES_MAX = 300_000
PAGES = ["/ui/", f"/ui/accounts/{APPIDS[0]}", f"/ui/accounts/{APPIDS[1]}?from=2026-10-01&to=2026-11-20&by=week", "/ui/live", "/ui/health", "/ui/connect", "/ui/keys"]


def seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


def start_program(scene, settings=""):
    """A program with a year of messages, the last ones some minutes ago."""
    accounts = "".join(
        f'[[account]]\nappid = "{appid}"\nname = {json.dumps(name)}\nsecret = "0123456789abcdef0123456789abcdef"\ntoken = "callbackToken"\n'
        for appid, name in zip(APPIDS, NAMES)
    )
    program = scene.msgcube(f"{settings}\n{accounts}", "--now", NOW)
    begin, end, dice = seconds("2025-11-20T00:00:00+08:00"), seconds(NOW), random.Random(5)
    for number, appid in enumerate(APPIDS[:2]):
        lines = []
        for message in range(3000):
            line = {"FromUserName": f"o{dice.randrange(400)}", "CreateTime": dice.randrange(begin, end), "MsgId": message}
            kind = dice.choices(["text", "image", "voice", "video", "shortvideo", "link", "location"], [70, 14, 8, 3, 2, 3, 1])[0]
            lines.append({**line, "MsgType": kind})
        for message in range(40):
            event = {"FromUserName": f"o{message}", "CreateTime": dice.randrange(begin, end), "MsgType": "event"}
            lines.append({**event, "Event": dice.choice(["subscribe", "unsubscribe", HOSTILE]), "EventKey": str(message)})
        body = "\n".join(map(json.dumps, lines)).encode()
        query = "?covers=2025-11-20..2026-11-19" if number == 0 else ""
        assert program.own("POST", f"/v1/accounts/{appid}/messages{query}", body)["rejected"] == 0
    return program


def base(program):
    return f"http://{program.address}"


def sign_in(browser, key=ADMIN_KEY, path="/ui/"):
    browser.open(path)
    browser.page.wait_for_selector("#key")
    browser.page.fill("#key", key)
    browser.page.click("main button")


def accessible(browser, name):
    """Fails on what axe-core finds. The checker is injected from outside, so the policy of the page does not matter."""
    browser.page.evaluate(AXE.read_text())
    found = browser.page.evaluate("axe.run().then((found) => found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' | ')}`))")
    assert not found, f"{name}: {found}"


def signed(token, nonce="1"):
    stamp = str(int(time.time()))
    signature = hashlib.sha1("".join(sorted([token, stamp, nonce])).encode()).hexdigest()
    return {"signature": signature, "timestamp": stamp, "nonce": nonce}


@case
def every_page_is_accessible_fits_and_keeps_to_its_policy(scene):
    program = start_program(scene)
    for lang in ("en", "zh"):
        # A page without a session answers 401.
        with tab(base(program), lang, expected=("401",)) as browser:
            browser.open("/ui/")
            browser.page.wait_for_selector("#key")
            accessible(browser, "login")
            browser.fits(f"login-{lang}")
            sign_in(browser)
            browser.page.wait_for_selector("h1")
            for path in PAGES:
                browser.open(path)
                browser.page.wait_for_selector("h1")
                name = f"{path.split('?')[0].strip('/').replace('/', '-')}-{lang}"
                assert len(browser.page.content().encode()) <= PAGE_BYTES_MAX, name
                assert browser.page.locator("img").count() == 0, f"{name} shows a hostile name as markup"
                for scheme in ("light", "dark"):
                    browser.page.emulate_media(color_scheme=scheme)
                    accessible(browser, f"{name} {scheme}")
                browser.fits(name)
                assert browser.page.evaluate("document.documentElement.lang").startswith(lang), name


@case
def signing_in_and_out(scene):
    program = start_program(scene)
    with tab(base(program), expected=("401", "403")) as browser:
        sign_in(browser, "wrong", "/ui/keys")
        assert "refused" in browser.text("main")
        browser.page.fill("#key", ADMIN_KEY)
        browser.page.click("main button")
        browser.page.wait_for_url("**/ui/keys")
        cookies = {cookie["name"]: cookie for cookie in browser.page.context.cookies()}
        session = next(cookie for name, cookie in cookies.items() if "session" in name)
        assert session["httpOnly"] and session["sameSite"] == "Strict" and session["path"] == "/ui", session
        browser.page.click("form[action='/ui/logout'] button")
        browser.page.wait_for_selector("#key")
        browser.open("/ui/")
        browser.page.wait_for_selector("#key")


@case
def pages_work_without_script(scene):
    program = start_program(scene)
    with tab(base(program), expected=("401",)) as browser:
        sign_in(browser)
        browser.page.wait_for_selector("h1")
        cookies = browser.page.context.cookies()
        context = browser.page.context.browser.new_context(java_script_enabled=False)
        context.add_cookies(cookies)
        page = context.new_page()
        for path in PAGES:
            answer = page.goto(base(program) + path)
            assert answer.status == 200 and page.locator("h1").count() == 1, path
        page.goto(f"{base(program)}/ui/accounts/{APPIDS[0]}")
        assert page.locator("table").count() >= 3 and page.locator("data").count() >= 10


@case
def a_message_changes_a_number_in_place(scene):
    program = start_program(scene)
    today = int(program.own("GET", "/v1/summary")["accounts"][0]["today"])
    with tab(base(program), expected=("401",)) as browser:
        sign_in(browser)
        shown = browser.page.locator("[data-today='*'] data")
        before = int(shown.get_attribute("value"))
        assert before >= today
        browser.page.evaluate("window.sameDocument = true")
        line = {"FromUserName": "olive", "CreateTime": seconds(NOW), "MsgType": "text", "MsgId": 10**9}
        program.own("POST", f"/v1/accounts/{APPIDS[0]}/messages", json.dumps(line).encode())
        until("the number grows", lambda: int(shown.get_attribute("value")) == before + 1)
        assert browser.page.evaluate("window.sameDocument"), "the page was not loaded again"


@case
def an_account_is_connected_step_by_step(scene):
    program = start_program(scene, 'public_url = "https://wx.example.com"')
    appid = "wx00000000000000b7"
    with tab(base(program), expected=("401",)) as browser:
        sign_in(browser, path="/ui/connect")
        browser.page.wait_for_url("**/ui/connect")
        browser.page.fill("[name=appid]", appid)
        browser.page.fill("[name=name]", "New one")
        browser.page.click("main form button")
        browser.page.click("summary:has-text('Show token')")
        token, key, secret = browser.page.locator("details code").all_inner_texts()
        assert f"https://wx.example.com/callback/{appid}" in browser.text("main")
        accessible(browser, "connect with secrets")
        browser.fits("connect-secrets")
        account = program.own("GET", f"/v1/accounts/{appid}")
        assert account["name"] == "New one" and account["require_encryption"]
        # Leaving the page asks first while the secrets are shown.
        browser.page.on("dialog", lambda dialog: dialog.accept())
        browser.open(f"/ui/connect?appid={appid}")
        assert not [hidden for hidden in (token, key, secret) if hidden in browser.page.content()]
        check = lambda token: program.ask("GET", f"/callback/{appid}?{urlencode({**signed(token), 'echostr': 'echo'})}")
        assert check("wrong").status == 401
        # The page looks for news by itself.
        browser.page.wait_for_selector("text=it was made with another Token")
        browser.shoot("connect-failed-check")
        assert check(token).body == b"echo"
        browser.page.wait_for_selector("text=write something to the account now")
        line = {"FromUserName": "olive", "CreateTime": seconds(NOW), "MsgType": "text", "MsgId": 1}
        program.own("POST", f"/v1/accounts/{appid}/messages", json.dumps(line).encode())
        browser.page.wait_for_selector("text=Open the account")
        browser.shoot("connect-done")


if __name__ == "__main__":
    cases.run(at_once=2)
