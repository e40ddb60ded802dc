"""Calls of the seven interfaces by wechatpy, and its errors."""

from wechatpy.exceptions import WeChatClientException

METHODS = {
    "getupstreammsg": "get_upstream_msg",
    "getupstreammsghour": "get_upstream_msg_hour",
    "getupstreammsgweek": "get_upstream_msg_week",
    "getupstreammsgmonth": "get_upstream_msg_month",
    "getupstreammsgdist": "get_upstream_msg_dist",
    "getupstreammsgdistweek": "get_upstream_msg_dist_week",
    "getupstreammsgdistmonth": "get_upstream_msg_dist_month",
}


def call(client, case):
    return getattr(client.datacube, METHODS[case["interface"]])(case["begin"], case["end"])


def refused(action):
    """Code and text of the exception of the SDK, without the request id."""
    try:
        action()
    except WeChatClientException as error:
        text, rid = error.errmsg.split(" rid: ")
        assert [len(part) for part in rid.split("-")] == [8, 8, 8], rid
        return error.errcode, text
    raise AssertionError("no error")
