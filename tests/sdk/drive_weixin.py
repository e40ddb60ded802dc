"""Unmodified weixin-python 0.5.7. Its base URL is a class attribute. It has no datacube methods, so users call them with its
general `post`. It never requests a new token by itself: the error must reach the caller."""

import os
import pathlib
import tempfile

from weixin.mp import WeixinMP, WeixinMPError

import scenario

WeixinMP.api_uri = scenario.BASE


def call(client, case):
    dates = {"begin_date": case["begin"], "end_date": case["end"]}
    return client.post(f"/{case['interface']}", dates, prefix="/datacube")["list"]


def refused(action):
    try:
        action()
    except WeixinMPError as error:
        return str(error).split(" rid: ")[0]
    raise AssertionError("no error")


def main(folder):
    token_file = folder / "access_token"
    client = WeixinMP(scenario.APPID, scenario.SECRET, ac_path=str(token_file))
    for case in scenario.SCENARIO["answers"]:
        rows = call(client, case)
        assert rows == case["list"], (case, rows)
    for case in scenario.SCENARIO["errors"]:
        assert refused(lambda: call(client, case)) == f"{case['errcode']} {case['errmsg']}", case

    kept = token_file.stat().st_mtime
    token_file.write_text(scenario.superseded_token())
    os.utime(token_file, (kept, kept))
    error = refused(lambda: call(client, scenario.SCENARIO["answers"][0]))
    assert error == "40001 invalid credential, access_token is invalid or not latest", error
    token_file.unlink()
    assert call(client, scenario.SCENARIO["answers"][0]) == scenario.SCENARIO["answers"][0]["list"]

    wrong = WeixinMP(scenario.APPID, "wrong", ac_path=str(folder / "wrong"))
    assert refused(lambda: wrong.access_token) == "40125 invalid appsecret"


scenario.check_refusals()
scenario.send_all()
with tempfile.TemporaryDirectory() as name:
    main(pathlib.Path(name))
print("weixin-python: all rows and errors as expected")
