"""The consent page of third-party platforms in Chromium: the operator of an account grants permission sets, or none."""

import json
from urllib.parse import parse_qs, quote, urlsplit

import cases
from browser import tab
from cases import case

APPID, SECRET = "wx00000000000000a1", "0123456789abcdef0123456789abcdef"
PLATFORM, PLATFORM_SECRET = "wx00000000000000c1", "secret-of-a-platform"
SETTINGS = f"""
[[account]]
appid = "{APPID}"
secret = "{SECRET}"
token = "callbackToken"

[[component]]
appid = "{PLATFORM}"
secret = "{PLATFORM_SECRET}"
token = "platformToken"
encoding_aes_key = "abcdefghijklmnopqrstuvwxyz9876543210ABCDEFG"
"""


def base(program):
    return f"http://{program.address}"


def call(program, name, token="", **values):
    body = json.dumps({"component_appid": PLATFORM, **values}).encode()
    return json.loads(program.ask("POST", f"/cgi-bin/component/{name}?component_access_token={token}", body).body)


def token(program):
    ticket = program.own("GET", f"/v1/components/{PLATFORM}/ticket")["component_verify_ticket"]
    answer = call(program, "api_component_token", component_appsecret=PLATFORM_SECRET, component_verify_ticket=ticket)
    return answer["component_access_token"]


def page(program, back, more=""):
    code = call(program, "api_create_preauthcode", token(program))["pre_auth_code"]
    query = f"component_appid={PLATFORM}&pre_auth_code={quote(code)}&redirect_uri={quote(back)}&auth_type=1{more}"
    return f"/cgi-bin/componentloginpage?{query}"


def authorization(program, code):
    """The authorization that a code is exchanged for."""
    answer = call(program, "api_query_auth", token(program), authorization_code=code)
    info = answer["authorization_info"]
    return info["authorizer_appid"], {one["funcscope_category"]["id"] for one in info["func_info"]}


@case
def exactly_the_ticked_permission_sets_are_granted(scene):
    program = scene.msgcube(SETTINGS)
    back = f"{base(program)}/healthz?state=7"
    # A wrong secret gives 403. The last page has no icon, so the browser requests one.
    with tab(base(program), "zh", expected=("403", "404")) as shown:
        shown.open(page(program, back, "&category_id_list=1|7"))
        assert program.address.split(":")[0] in shown.text("main"), "it says where the browser goes"
        ticked = shown.page.locator("input[type=checkbox]:checked").evaluate_all("all => all.map((one) => one.value)")
        assert ticked == ["1", "7"], ticked
        shown.page.fill("#appid", APPID)
        shown.page.fill("#secret", "wrong")
        shown.page.uncheck("input[value='7']")
        shown.page.click("button.main")
        shown.page.wait_for_selector("[role=alert]")
        assert "有误" in shown.text("[role=alert]") and shown.page.input_value("#secret") == ""
        assert shown.page.input_value("#appid") == APPID and not shown.page.is_checked("input[value='7']")
        shown.page.fill("#secret", SECRET)
        shown.page.keyboard.press("Enter")
        shown.page.wait_for_url(f"{base(program)}/healthz**")
        values = parse_qs(urlsplit(shown.page.url).query)
        assert values["state"] == ["7"] and values["expires_in"] == ["600"], values
        assert authorization(program, values["auth_code"][0]) == (APPID, {1})


@case
def a_correct_but_blocked_secret_gets_the_reason_and_a_log_line(scene):
    for setting, english, chinese, logged in (
        ('ip_allow = ["192.0.2.1"]', "127.0.0.1 is not allowed (40164)", "127.0.0.1 使用（40164）", "not in the account's ip_allow"),
        ("secret_frozen = true", "frozen (40243)", "已冻结（40243）", "secret_frozen = true"),
    ):
        program = scene.msgcube(SETTINGS.replace('token = "callbackToken"', f'token = "callbackToken"\n{setting}'))
        for lang, part in (("en", english), ("zh", chinese)):
            with tab(base(program), lang, expected=("403",)) as shown:
                shown.open(page(program, f"{base(program)}/healthz"))
                shown.page.fill("#appid", APPID)
                for secret in ("wrong", SECRET):
                    shown.page.fill("#secret", secret)
                    shown.page.click("button.main")
                    shown.page.wait_for_load_state()
                    assert (part in shown.text("[role=alert]")) == (secret == SECRET), shown.text("[role=alert]")
                    assert (logged in program.log()) == (secret == SECRET or lang == "zh"), program.log()
                shown.fits(f"consent-barred-{setting.split()[0]}-{lang}")


@case
def the_page_can_be_cancelled_and_used_with_the_keyboard_alone(scene):
    program = scene.msgcube(SETTINGS)
    with tab(base(program), "en") as shown:
        shown.open(page(program, f"{base(program)}/healthz"))
        shown.page.focus("#appid")
        shown.page.keyboard.type(APPID)
        shown.page.keyboard.press("Tab")
        shown.page.keyboard.type(SECRET)
        reached = []
        for _ in range(12):
            shown.page.keyboard.press("Tab")
            reached.append(shown.page.evaluate("document.activeElement.value || document.activeElement.tagName"))
            if reached[-1] == "cancel":
                break
        assert "approve" in reached and reached[-1] == "cancel", reached
        shown.page.keyboard.press("Enter")
        shown.page.wait_for_load_state()
        assert urlsplit(shown.page.url).path == "/cgi-bin/componentloginpage"
        listed = program.own("GET", f"/v1/components/{PLATFORM}/authorizations")
        assert listed["total"] == 0, listed


@case
def foreign_text_is_never_html(scene):
    program = scene.msgcube(SETTINGS)
    hostile = quote("\"><script>console.error('in')</script><img src=x onerror=console.error('in')>")
    with tab(base(program), "en", expected=("400",)) as shown:
        shown.open(page(program, "https://platform.example/back", f"&biz_appid={hostile}&category_id_list={hostile}"))
        assert "<script>" in shown.page.input_value("#appid")
        assert "platform.example" in shown.text("main")
        for back in ("javascript:console.error('in')", "data:text/html,x", "//other.example/", ""):
            shown.open(page(program, back))
            assert shown.page.locator("form").count() == 0 and shown.text("h1"), back
        shown.open(page(program, "https://platform.example/").replace("preauthcode", "x"))
        assert shown.page.locator("form").count() == 0


@case
def the_page_fits_every_window_in_both_languages(scene):
    program = scene.msgcube(SETTINGS)
    for lang, other in (("en", "中文"), ("zh", "English")):
        with tab(base(program), lang) as shown:
            shown.open(page(program, "https://platform.example/back?state=1", f"&biz_appid={APPID}&category_id_list=34|171"))
            sets = shown.page.locator("label.choice").evaluate_all("all => all.map((one) => one.textContent)")
            assert {"Set 34", "Debug push 171", "Scan 9"} <= set(sets) or {"权限集 34", "调试推送 171", "微信扫一扫 9"} <= set(sets), sets
            shown.fits(f"consent-{lang}")
            title = shown.text("h1")
            shown.page.click(f"text={other}")
            shown.page.wait_for_load_state()
            assert shown.text("h1") != title and shown.page.input_value("#appid") == APPID


if __name__ == "__main__":
    cases.run(at_once=2)
