"""Unmodified wechatpy 1.8.18. Its token address is fixed, so it runs behind the front. Its datacube address is a class
attribute, so it also runs directly, with a given token."""

from wechatpy import WeChatClient
from wechatpy.client.api import WeChatDataCube

import scenario
from front import Front
from wechatpy_calls import call, refused


def check_rows(client):
    for case in scenario.SCENARIO["answers"]:
        rows = call(client, case)
        assert rows == case["list"], (case, rows)
        assert all(type(value) in (int, str) for row in rows for value in row.values()), rows
    for case in scenario.SCENARIO["errors"]:
        assert refused(lambda: call(client, case)) == (case["errcode"], case["errmsg"]), case


def behind_the_front():
    front = Front(scenario.BASE)
    client = WeChatClient(scenario.APPID, scenario.SECRET)
    check_rows(client)
    assert front.hosts and set(front.hosts) == {"api.weixin.qq.com"}, front.hosts
    assert len(front.hosts) == 1, f"the connection is kept alive, not {len(front.hosts)} of them"
    check_refresh(client)
    wrong = WeChatClient(scenario.APPID, "wrong")
    assert refused(wrong.fetch_access_token) == (40125, "invalid appsecret")
    unknown = WeChatClient("wx0000000000000fff", scenario.SECRET)
    assert refused(unknown.fetch_access_token) == (40013, "invalid appid")


def check_refresh(client):
    """With a replaced token wechatpy gets 40001, requests a new token by itself and repeats the call."""
    old = scenario.superseded_token()
    client.session.set(client.access_token_key, old)
    case = scenario.SCENARIO["answers"][0]
    assert call(client, case) == case["list"]
    assert client.access_token != old


def directly():
    WeChatDataCube.API_BASE_URL = scenario.BASE + "/datacube/"
    check_rows(WeChatClient(scenario.APPID, scenario.SECRET, access_token=scenario.stable_token()))
    client = WeChatClient(scenario.APPID, scenario.SECRET, access_token=scenario.superseded_token(), auto_retry=False)
    code, text = refused(lambda: call(client, scenario.SCENARIO["answers"][0]))
    assert (code, text) == (40001, "invalid credential, access_token is invalid or not latest")


scenario.check_verification()
scenario.check_refusals()
scenario.send_all()
behind_the_front()
directly()
print("wechatpy: all rows, errors and refreshes as expected, behind the front and directly")
