"""The debugging page in Chromium: it shows what the interfaces answer."""

import http.server
import json
import os
import random
import subprocess
import threading
import urllib.error
import urllib.request
from datetime import datetime

import cases
from browser import WIDE, tab
from cases import case
from program import until

NOW = "2014-12-10T12:00:00+08:00"
APPID, SECRET = "wx00000000000000a1", "0123456789abcdef0123456789abcdef"
SEVEN = {
    "getupstreammsghour": "2014-12-09 2014-12-09",
    "getupstreammsg": "2014-12-03 2014-12-09",
    "getupstreammsgweek": "2014-12-01 2014-12-01",
    "getupstreammsgmonth": "2014-11-01 2014-11-01",
    "getupstreammsgdist": "2014-12-03 2014-12-09",
    "getupstreammsgdistweek": "2014-12-01 2014-12-01",
    "getupstreammsgdistmonth": "2014-11-01 2014-11-01",
}
FILE_ERRORS = ("Failed to load resource",)


def start_program(scene, settings="", account="", now=NOW):
    """A program whose account has messages of the last 50 days."""
    program = scene.msgcube(
        f'{settings}\n[[account]]\nappid = "{APPID}"\nsecret = "{SECRET}"\ntoken = "callbackToken"\n{account}', "--now", now
    )
    begin, dice = int(datetime.fromisoformat("2014-10-21T12:00:00+08:00").timestamp()), random.Random(7)
    messages = (
        {
            "FromUserName": f"o{dice.randrange(300)}",
            "CreateTime": begin + dice.randrange(50 * 86400),
            "MsgType": dice.choices(["text", "image", "voice", "video", "link"], [70, 14, 8, 5, 3])[0],
            "MsgId": number,
        }
        for number in range(4000)
    )
    body = "\n".join(map(json.dumps, messages)).encode()
    assert program.own("POST", f"/v1/accounts/{APPID}/messages?covers=2014-01-01..2014-12-09", body)["accepted"] == 4000
    return program


def base(program):
    return f"http://{program.address}"


def token(program):
    body = json.dumps({"grant_type": "client_credential", "appid": APPID, "secret": SECRET}).encode()
    return json.loads(program.ask("POST", "/cgi-bin/stable_token", body).body)["access_token"]


def interface(program, name, begin, end):
    """The direct answer of the interface, and its hints."""
    body = json.dumps({"begin_date": begin, "end_date": end}).encode()
    answer = program.ask("POST", f"/datacube/{name}?access_token={token(program)}", body)
    hint, chinese = answer.headers.get("X-Msgcube-Hint"), answer.headers.get("X-Msgcube-Hint-Zh")
    return json.loads(answer.body), hint, chinese and urllib.request.unquote(chinese)


def sign_in(shown):
    shown.page.fill("#appid", APPID)
    shown.page.fill("#secret", SECRET)


def choose(shown, name):
    # Only the label of a choice is visible.
    shown.page.locator(f'label[title="{name}"]').click()


def dates(shown):
    return " ".join(shown.page.input_value(field) for field in ("#begin", "#end"))


def send(shown):
    """Sends the query and waits for the answer."""
    shown.page.click("#send")
    answered(shown)


def answered(shown):
    shown.page.wait_for_selector("#send:enabled")


def rows(shown):
    """The rows of the table, in the form of the interface."""
    names = shown.page.locator("#rows thead code").all_inner_texts()
    lines = [line.locator("td").all_inner_texts() for line in shown.page.locator("#rows tbody tr").all()]

    def value(name, text):
        return text if name == "ref_date" else int(text.split()[0].replace(",", ""))

    return [{name: value(name, text) for name, text in zip(names, line, strict=True)} for line in lines]


def verdict(shown):
    return shown.text("#verdict")


@case
def the_page_uses_the_language_of_the_browser_and_can_switch(scene):
    program = start_program(scene)
    with tab(base(program), "zh") as shown:
        shown.open("/debug")
        assert shown.page.title() == "接口调试 · msgcube" and shown.text("#send") == "发送"
        assert "2014-12-10 12:00" in shown.text("#clock") and "2014-12-09" in shown.text("#clock")
        sign_in(shown)
        choose(shown, "getupstreammsgweek")
        send(shown)
        assert "行数据" in verdict(shown)
        shown.page.click("#lang")
        assert shown.page.title() == "Debugging · msgcube" and "rows" in verdict(shown)
        assert shown.page.evaluate("document.documentElement.lang") == "en" and shown.page.url.endswith("?lang=en")
        # Typed and chosen values stay.
        assert shown.page.input_value("#appid") == APPID and dates(shown) == SEVEN["getupstreammsgweek"]
        assert shown.page.locator("input[name=interface]:checked").get_attribute("value") == "getupstreammsgweek"
        shown.open("/debug?lang=en")
        assert shown.text("#send") == "Send"
    with tab(base(program), "en") as shown:
        shown.open("/debug")
        assert shown.text("#send") == "Send"
        shown.open("/debug?lang=zh")
        assert shown.text("#send") == "发送"


@case
def a_month_shows_the_figures_of_the_interface(scene):
    program = start_program(scene)
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        assert dates(shown) == "2014-11-01 2014-11-01", "the 1st of last month is filled in"
        send(shown)
        said, _, _ = interface(program, "getupstreammsgmonth", "2014-11-01", "2014-11-01")
        assert len(said["list"]) == 5 and rows(shown) == said["list"], rows(shown)
        assert verdict(shown) == "5 rows"
        assert json.loads(shown.text("#pretty")) == said
        assert "HTTP 200" in shown.text("#took") and " ms" in shown.text("#took")
        assert "application/json; encoding=utf-8" in shown.text("#headers")
        assert len(shown.page.locator(".line").all()) == 5


@case
def each_interface_has_valid_default_dates_and_shows_its_rows(scene):
    program = start_program(scene)
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        for name, usual in SEVEN.items():
            choose(shown, name)
            assert dates(shown) == usual, f"{name}: {dates(shown)}"
            assert shown.page.locator("#advice").inner_text() == ""
            send(shown)
            said, _, _ = interface(program, name, *usual.split())
            assert said["list"] and rows(shown) == said["list"], name
            assert name in shown.text("#about")


@case
def the_request_can_be_copied_and_shows_no_secret(scene):
    program = start_program(scene)
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        send(shown)
        shown.page.click("#copy")
        copied = shown.page.evaluate("navigator.clipboard.readText()")
        assert copied == shown.text("#curl") and "$ACCESS_TOKEN" in copied
        environment = {**os.environ, "ACCESS_TOKEN": token(program)}
        again = subprocess.run(["bash", "-c", copied], env=environment, capture_output=True, check=True)
        assert json.loads(again.stdout) == json.loads(shown.text("#pretty"))
        for summary in shown.page.locator("details summary").all():
            summary.click()
        fetched = shown.page.locator("details pre").nth(1).inner_text()
        environment = {**os.environ, "SECRET": SECRET}
        again = subprocess.run(["bash", "-c", fetched], env=environment, capture_output=True, check=True)
        assert json.loads(again.stdout)["access_token"] == token(program)
        seen = shown.page.inner_text("body")
        assert SECRET not in seen and token(program) not in seen
        assert "access_token" not in shown.page.url and SECRET not in shown.page.url
        kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert shown.page.evaluate(kept) == '[{},{},""]', "nothing is kept in the browser"


@case
def a_range_that_is_too_long_is_explained_and_corrected_with_one_click(scene):
    program = start_program(scene)
    for lang in ("en", "zh"):
        with tab(base(program), lang) as shown:
            shown.open("/debug")
            sign_in(shown)
            shown.page.fill("#end", "2014-12-08")
            assert "61501" in shown.text("#advice") and "38" in shown.text("#advice"), "said before it is sent"
            send(shown)
            said, hint, chinese = interface(program, "getupstreammsgmonth", "2014-11-01", "2014-12-08")
            assert said["errcode"] == 61501 and verdict(shown) == "61501 date range error"
            meaning = shown.text("#meaning")
            assert (hint if lang == "en" else chinese) in meaning, meaning
            assert ("longer than the interface takes" if lang == "en" else "超过最大天数") in meaning
            assert "2014-11-01" in shown.text("#again")
            shown.shoot(f"error-61501-{lang}")
            shown.page.click("#again")
            shown.page.wait_for_selector("#rows")
            assert dates(shown) == "2014-11-01 2014-11-01"
            assert rows(shown) == interface(program, "getupstreammsgmonth", "2014-11-01", "2014-11-01")[0]["list"]


@case
def invalid_dates_are_corrected_before_the_query_is_sent(scene):
    program = start_program(scene)
    wanted = [
        # interface, chosen dates, message, corrected dates
        ("getupstreammsg", "2014-12-01 2014-12-09", "61501", "2014-12-01 2014-12-07"),
        ("getupstreammsg", "2014-12-09 2014-12-05", "61501", "2014-12-05 2014-12-09"),
        ("getupstreammsg", "2014-12-08 2014-12-12", "61501", "2014-12-05 2014-12-09"),
        ("getupstreammsghour", "2014-12-08 2014-12-09", "61501", "2014-12-08 2014-12-08"),
        ("getupstreammsgmonth", "2014-11-01 2014-11-30", "", ""),
        ("getupstreammsgmonth", "2014-11-01 2014-12-01", "61501", "2014-11-01 2014-11-01"),
        ("getupstreammsgmonth", "2014-12-07 2014-12-08", "No rows:", "2014-11-01 2014-11-01"),
        ("getupstreammsgdistweek", "2014-12-08 2014-12-09", "No rows:", "2014-12-01 2014-12-01"),
        ("getupstreammsgweek", "2014-12-02 2014-12-05", "No rows:", "2014-12-01 2014-12-01"),
    ]
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        for name, chosen, said, right in wanted:
            choose(shown, name)
            for field, day in zip(("#begin", "#end"), chosen.split(), strict=True):
                shown.page.fill(field, day)
            advice = shown.page.locator("#advice").inner_text()
            assert bool(advice) == bool(said) and said in advice, f"{name} {chosen}: {advice}"
            # The answer is the one that the page predicted.
            send(shown)
            answer, _, _ = interface(program, name, *chosen.split())
            assert ("61501" in said) == (answer.get("errcode") == 61501), f"{name} {chosen}: {answer}"
            assert said != "No rows:" or answer == {"list": []}, f"{name} {chosen}: {answer}"
            if right:
                shown.page.click("#use")
                assert dates(shown) == right, f"{name} {chosen}: {dates(shown)}"
                assert shown.page.locator("#advice").inner_text() == ""
                send(shown)
                assert shown.page.locator("#rows").count() == 1, f"{name} {right} has rows"


@case
def a_hand_written_body_is_sent_unchanged(scene):
    program = start_program(scene)
    bodies = [
        ('{"begin_date":"2014-11-31","end_date":"2014-11-30"}', 61500, "not in the calendar"),
        ('{"begin_date":"20141101","end_date":"2014-11-30"}', 61500, "YYYY-MM-DD"),
        ('{"end_date":"2014-11-30"}', 61500, "begin_date is missing"),
        ("begin_date=2014-11-01&end_date=2014-11-01", 47001, "JSON object"),
        ("", 44002, "The body is empty."),
    ]
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        for body, code, part in bodies:
            shown.page.fill("#body", body)
            send(shown)
            assert verdict(shown).startswith(f"{code} "), f"{body}: {verdict(shown)}"
            assert part in shown.text("#meaning"), shown.text("#meaning")
            if code == 61500:
                shown.page.click("#again")
                shown.page.wait_for_selector("#rows")
                assert dates(shown) == "2014-11-01 2014-11-01", "another body counts no more"


@case
def the_dates_follow_a_hand_written_body(scene):
    program = start_program(scene)
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        choose(shown, "getupstreammsg")
        shown.page.fill("#body", '{"begin_date":"2014-11-10", "end_date":"2014-11-12"}')
        assert dates(shown) == "2014-11-10 2014-11-12" and shown.text("#advice") == ""
        send(shown)
        assert {row["ref_date"] for row in rows(shown)} == {"2014-11-10", "2014-11-11", "2014-11-12"}
        assert shown.page.input_value("#body").count(", ") == 1, "it stays as it was written"
        shown.page.fill("#body", '{"begin_date":"2014-11-10","end_date":"2014-11-31"}')
        assert dates(shown) == "2014-11-10 " and "61500" in shown.text("#advice")
        for lang, part in (("en", "not used"), ("zh", "不起作用")):
            shown.page.fill("#body", "begin_date=2014-11-10")
            assert part in shown.text("#advice") and shown.page.locator("input.unused").count() == 2
            shown.shoot(f"by-hand-{lang}")
            shown.page.click("#lang")
        shown.page.fill("#begin", "2014-12-01")
        shown.page.fill("#end", "2014-12-02")
        assert shown.page.input_value("#body") == '{"begin_date":"2014-12-01","end_date":"2014-12-02"}'
        assert shown.page.locator("input.unused").count() == 0


SPARSE = [
    # 329 texts and 174 images on the 1st of March, few on the 3rd and 6th
    *[("2014-03-01T01:10", "text")] * 329,
    *[("2014-03-01T02:10", "image")] * 174,
    *[("2014-03-01T20:10", "voice")] * 1,
    *[("2014-03-03T10:00", "text")] * 2,
    *[("2014-03-06T10:00", "text")] * 100,
]


def with_few_messages(scene):
    """A program with messages of three days, and of three hours of the first."""
    program = scene.msgcube(f'[[account]]\nappid = "{APPID}"\nsecret = "{SECRET}"\ntoken = "callbackToken"', "--now", NOW)
    body = "\n".join(
        json.dumps({
            "FromUserName": f"o{number % 90}",
            "CreateTime": int(datetime.fromisoformat(f"{when}:00+08:00").timestamp()),
            "MsgType": kind,
            "MsgId": number,
        })
        for number, (when, kind) in enumerate(SPARSE)
    )
    answer = program.own("POST", f"/v1/accounts/{APPID}/messages?covers=2014-01-01..2014-12-09", body.encode())
    assert answer["accepted"] == len(SPARSE)
    return program


def chart(shown):
    """The visible labels, and the height of each period in pixels."""
    labels = shown.page.locator(".axis > div:not(.unseen)").all_inner_texts()
    heights = shown.page.locator(".columns > div").evaluate_all(
        "all => all.map((one) => one.firstChild ? one.firstChild.getBoundingClientRect().height : 0)"
    )
    return labels, heights


@case
def a_chart_has_every_requested_period_and_true_heights(scene):
    program = with_few_messages(scene)
    for lang in ("en", "zh"):
        with tab(base(program), lang) as shown:
            shown.open("/debug")
            sign_in(shown)
            choose(shown, "getupstreammsg")
            shown.page.fill("#begin", "2014-03-01")
            shown.page.fill("#end", "2014-03-07")
            send(shown)
            labels, heights = chart(shown)
            assert labels == [f"03-0{day}" for day in range(1, 8)], labels
            assert [height > 0 for height in heights] == [True, False, True, False, False, True, False], heights
            assert 1 <= heights[2] < 2 and abs(heights[5] / heights[0] - 100 / 504) < 0.02, heights
            widths = shown.page.locator(".fill").evaluate_all("all => all.map((one) => one.getBoundingClientRect().width)")
            assert abs(widths[1] / widths[0] - 174 / 431) < 0.01 and 1 <= widths[2] < 5, widths
            shown.fits(f"sparse-days-{lang}")
            shown.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
            choose(shown, "getupstreammsghour")
            shown.page.fill("#begin", "2014-03-01")
            shown.page.fill("#end", "2014-03-01")
            send(shown)
            labels, heights = chart(shown)
            assert [hour for hour, height in enumerate(heights) if height] == [1, 2, 20] and len(heights) == 24, heights
            assert abs(heights[2] / heights[1] - 174 / 329) < 0.02, heights
            assert labels == [f"{hour:02}:00" for hour in range(0, 24, 2)], labels
            shown.fits(f"sparse-hours-{lang}")
            shown_labels = shown.page.locator(".axis > div:not(.unseen)")
            until("narrow ones have fewer labels", lambda: shown_labels.count() < 12)
            assert shown_labels.count() >= 4, "narrow ones have fewer, and not only the ends"
            assert shown.page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.wide'))") <= 0
            choose(shown, "getupstreammsgdist")
            shown.page.fill("#begin", "2014-03-01")
            shown.page.fill("#end", "2014-03-15")
            send(shown)
            assert len(chart(shown)[1]) == 15
            assert shown.page.locator(".keys > span").count() == 2 and shown.page.locator(".fill").count() == 0
            shown.fits(f"sparse-distribution-{lang}")


@case
def wrong_tokens_and_secrets_are_explained(scene):
    program = start_program(scene)
    with tab(base(program)) as shown:
        shown.open("/debug")
        for appid, secret, code, part in [
            ("wx9999", SECRET, 40013, "none in the configuration"),
            (APPID, "wrong", 40125, "Check the secret"),
        ]:
            shown.page.fill("#appid", appid)
            shown.page.fill("#secret", secret)
            send(shown)
            assert verdict(shown).startswith(f"{code} ") and part in shown.text("#meaning"), shown.text("#meaning")
            assert "while fetching the token" in shown.text("#meaning")
        shown.page.get_by_text("access_token", exact=True).first.click()
        shown.page.fill("#token", "not-a-token")
        send(shown)
        assert verdict(shown).startswith("40001 ") and "stable_token" in shown.text("#meaning"), shown.text("#meaning")
        assert shown.page.locator("#ask_rid").count() == 0 and "are not stored" in shown.text("#rid_note")
        shown.page.fill("#token", token(program))
        send(shown)
        assert verdict(shown) == "5 rows"


@case
def missing_input_is_reported_before_a_query_is_sent(scene):
    program = start_program(scene)
    for lang, appid, secret, access_token in (
        ("en", "Enter the AppID.", "Enter the AppSecret.", "Enter an access_token."),
        ("zh", "请填写 AppID。", "请填写 AppSecret。", "请填写 access_token。"),
    ):
        with tab(base(program), lang) as shown:

            def marked():
                return shown.page.locator("[aria-invalid=true]").evaluate_all("all => all.map((one) => one.id)")

            shown.open("/debug")
            send(shown)
            assert marked() == ["appid", "secret"] and shown.page.evaluate("document.activeElement.id") == "appid"
            assert (shown.text("#no_appid"), shown.text("#no_secret")) == (appid, secret)
            shown.fits(f"missing-{lang}")
            shown.page.fill("#appid", APPID)
            assert marked() == ["secret"] and not shown.page.is_visible("#no_appid")
            send(shown)
            assert marked() == ["secret"] and shown.page.evaluate("document.activeElement.id") == "secret"
            shown.page.locator("input[value=token] + span").click()
            send(shown)
            assert shown.text("#no_token") == access_token
            assert not [url for url in shown.requests if "/debug" not in url and not url.startswith("data:")], shown.requests
            shown.page.fill("#token", token(program))
            send(shown)
            assert marked() == [] and shown.page.locator("#rows").count() == 1


@case
def a_blocked_address_is_shown_as_the_server_sees_it(scene):
    program = start_program(scene, account='ip_allow = ["192.0.2.1"]')
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        send(shown)
        assert verdict(shown) == "40164 invalid ip 127.0.0.1, not in whitelist", verdict(shown)
        assert shown.page.locator("#ask_rid").count() == 0 and "access_token of the account" in shown.text("#rid_note")
        shown.shoot("error-40164-en")


@case
def the_page_explains_why_an_account_may_not_use_the_interface(scene):
    for number, account in enumerate(("certified = false", 'kind = "other"')):
        program = start_program(scene, account=account)
        for lang, part in (("en", "kind and certified"), ("zh", "只有认证的服务号和订阅号")):
            with tab(base(program), lang) as shown:
                shown.open("/debug")
                sign_in(shown)
                send(shown)
                assert verdict(shown) == "48001 api unauthorized" and part in shown.text("#meaning"), shown.text("#meaning")
                assert shown.page.locator("#again").count() == 0, "other dates would not help"
                shown.shoot(f"error-48001-{number}-{lang}")


@case
def the_strict_profile_has_its_own_spans(scene):
    program = start_program(scene, '[datacube]\ndate_profile = "strict"')
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        assert "at most 1 day" in shown.text("#about")
        shown.page.fill("#end", "2014-11-02")
        assert "61501" in shown.text("#advice")
        send(shown)
        assert verdict(shown).startswith("61501 ")
        shown.page.click("#again")
        shown.page.wait_for_selector("#rows")
        choose(shown, "getupstreammsgdistmonth")
        assert "at most 15 days" in shown.text("#about")


@case
def before_the_figures_are_ready_the_page_says_when(scene):
    program = start_program(scene, '[datacube]\nnot_ready_before = "08:00"', now="2014-12-10T07:30:00+08:00")
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        choose(shown, "getupstreammsg")
        assert dates(shown) == "2014-12-02 2014-12-08", "days that are ready"
        shown.page.fill("#begin", "2014-12-05")
        shown.page.fill("#end", "2014-12-09")
        assert "61503" in shown.text("#advice") and "08:00" in shown.text("#advice")
        send(shown)
        assert verdict(shown) == "61503 data not ready, please try later" and "08:00" in shown.text("#meaning")
        shown.page.click("#again")
        shown.page.wait_for_selector("#rows")
        assert dates(shown) == "2014-12-05 2014-12-08"


@case
def user_source_and_live_figures_are_shown(scene):
    program = start_program(scene, "[datacube]\nuser_source = true\nlive = true")
    with tab(base(program)) as shown:
        shown.open("/debug")
        sign_in(shown)
        assert dates(shown) == "2014-12-01 2014-12-01" and "2014-12-10" in shown.text("#clock"), "the open month"
        send(shown)
        found = rows(shown)
        assert found == interface(program, "getupstreammsgmonth", "2014-12-01", "2014-12-01")[0]["list"]
        assert list(found[0])[:2] == ["ref_date", "user_source"] and all(row["user_source"] == 0 for row in found)


@case
def a_request_id_can_be_looked_up(scene):
    program = start_program(scene)
    # A server without rid/get answers 404, and Chromium logs that.
    with tab(base(program), expected=FILE_ERRORS) as shown:
        shown.open("/debug")
        sign_in(shown)
        shown.page.fill("#end", "2014-12-31")
        send(shown)
        shown.page.click("#ask_rid")
        shown.page.wait_for_selector("#rid_answer p")
        answer, rid = shown.text("#rid_answer"), json.loads(shown.text("#pretty"))["errmsg"].split("rid: ")[1]
        assert "HTTP 404" in answer or rid in answer, answer
        assert token(program) not in answer


@case
def a_server_that_is_down_is_reported(scene):
    program = start_program(scene)
    with tab(base(program), expected=FILE_ERRORS) as shown:
        shown.open("/debug")
        sign_in(shown)
        program.kill()
        send(shown)
        assert verdict(shown) == "No answer" and "TypeError" in shown.text("#meaning")
        assert "stable_token" in shown.text("#curl")
        shown.page.click("#lang")
        assert verdict(shown) == "没有应答"


class Prefix(http.server.BaseHTTPRequestHandler):
    """A proxy with the program below /wechat. If the program is down, the proxy answers its own error page."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else None
        address = f"http://{self.server.behind}{self.path.removeprefix('/wechat')}"
        request = urllib.request.Request(address, body, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=100) as answer:
                status, headers, content = answer.status, answer.headers.items(), answer.read()
        except urllib.error.HTTPError as error:
            status, headers, content = error.code, error.headers.items(), error.read()
        except OSError:
            status, headers, content = 502, [("Content-Type", "text/html")], b"<h1>Bad Gateway</h1>"
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET


@case
def the_page_works_below_a_path_prefix_of_a_proxy(scene):
    program = start_program(scene)
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prefix)
    proxy.behind = program.address
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        with tab(f"http://127.0.0.1:{proxy.server_port}", expected=FILE_ERRORS) as shown:
            shown.open("/wechat/debug")
            sign_in(shown)
            send(shown)
            assert verdict(shown) == "5 rows" and "/wechat/datacube/getupstreammsgmonth" in shown.text("#curl")
            program.kill()
            send(shown)
            assert verdict(shown).startswith("HTTP 502") and "<h1>Bad Gateway</h1>" in shown.text("#pretty")
    finally:
        proxy.shutdown()
        proxy.server_close()


@case
def the_admin_address_also_has_the_page(scene):
    program = start_program(scene, 'admin_listen = "127.0.0.1:0"')
    admin = program.process.stdout.readline().decode().split("admin on ")[1].strip()
    with tab(admin) as shown:
        shown.open("/debug")
        sign_in(shown)
        send(shown)
        assert verdict(shown) == "5 rows"


@case
def typed_text_is_never_html(scene):
    program = start_program(scene)
    hostile = "<img src=x onerror=hacked=1>'\"><script>hacked=1</script>${hacked=1}\\"
    with tab(base(program)) as shown:
        shown.open("/debug?lang=%22%3E%3Cscript%3Ehacked%3D1%3C/script%3E")
        shown.page.fill("#appid", hostile)
        shown.page.fill("#secret", hostile)
        send(shown)
        assert verdict(shown).startswith("40013 ") and "<img" in shown.text("#curl")
        shown.page.get_by_text("access_token", exact=True).first.click()
        shown.page.fill("#token", hostile)
        send(shown)
        assert verdict(shown).startswith("40001 ")
        shown.page.fill("#token", token(program))
        shown.page.fill("#body", json.dumps({"begin_date": hostile, "end_date": hostile}))
        send(shown)
        assert verdict(shown).startswith("61500 ") and "onerror" in shown.text("#curl")
        again = subprocess.run(
            ["bash", "-c", shown.text("#curl")], env={**os.environ, "ACCESS_TOKEN": token(program)}, capture_output=True, check=True
        )
        assert json.loads(again.stdout)["errcode"] == 61500, "the line is quoted for a shell"
        shown.page.click("#lang")
        assert shown.page.evaluate("typeof hacked") == "undefined"
        assert shown.page.locator("#result img, #result script").count() == 0


@case
def text_of_another_server_is_never_html(scene):
    program = start_program(scene)
    hostile = '<img src=x onerror="hacked=1">'
    with tab(base(program)) as shown:
        answer = json.dumps({"errcode": 12345, "errmsg": hostile})
        headers = {"Content-Type": "application/json", "X-Msgcube-Hint": hostile, "X-Msgcube-Hint-Zh": "%E0%A4%A" + hostile}
        shown.page.route("**/datacube/*", lambda route: route.fulfill(body=answer, headers=headers))
        shown.open("/debug")
        sign_in(shown)
        send(shown)
        assert verdict(shown) == f"12345 {hostile}" and "list of return codes" in shown.text("#meaning")
        shown.page.unroute("**/datacube/*")
        row = json.dumps({"list": [{"ref_date": hostile, "msg_type": hostile, "msg_user": 1, "msg_count": 1, hostile: hostile}]})
        shown.page.route("**/datacube/*", lambda route: route.fulfill(body=row, headers=headers))
        send(shown)
        assert verdict(shown) == "1 row" and shown.page.locator("#rows td").first.inner_text() == hostile
        assert shown.page.evaluate("typeof hacked") == "undefined"
        assert shown.page.locator("#result img").count() == 0


@case
def the_page_can_be_used_with_the_keyboard_alone(scene):
    program = start_program(scene)
    with tab(base(program)) as shown:
        shown.open("/debug")
        press, focus = shown.page.keyboard.press, "document.activeElement.id || document.activeElement.value"

        def reach(wanted):
            for _ in range(40):
                if shown.page.evaluate(focus) == wanted:
                    return
                press("Tab")
            raise AssertionError(f"{wanted} cannot be reached")

        reach("appid")
        shown.page.keyboard.type(APPID)
        press("Tab")
        shown.page.keyboard.type(SECRET)
        reach("getupstreammsgmonth")
        press("ArrowLeft")
        assert shown.page.evaluate(focus) == "getupstreammsgweek" and dates(shown) == SEVEN["getupstreammsgweek"]
        reach("send")
        press("Enter")
        answered(shown)
        assert "rows" in verdict(shown)
        shown.page.fill("#begin", "2014-10-01")
        reach("use")
        reach("send")
        press("Enter")
        shown.page.wait_for_selector("#again")
        reach("again")
        press("Enter")
        shown.page.wait_for_selector("#rows")
        assert shown.page.evaluate(focus) == "verdict", "reading goes on where the answer begins"
        unnamed = "[...document.querySelectorAll('input, textarea, select')].filter((field) => !field.labels.length).length"
        assert shown.page.evaluate(unnamed) == 0, "every field has its label"
        assert shown.page.locator("#verdict").get_attribute("aria-live") == "polite"


@case
def the_page_fits_every_window(scene):
    program = start_program(scene)
    for lang in ("en", "zh"):
        with tab(base(program), lang) as shown:
            shown.open("/debug")
            shown.fits(f"start-{lang}")
            sign_in(shown)
            for name in ("getupstreammsg", "getupstreammsghour", "getupstreammsgdist", "getupstreammsgmonth"):
                choose(shown, name)
                send(shown)
                shown.fits(f"{name}-{lang}")
            shown.page.fill("#end", "2014-12-31")
            send(shown)
            shown.fits(f"error-{lang}")


if __name__ == "__main__":
    cases.run(at_once=2)
