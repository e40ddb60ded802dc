"""What Schemathesis must know about this server: lines of JSON, signed callbacks, and the errors of WeChat's interfaces."""

import copy
import hashlib
import json

import requests
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

CALLBACK_TOKEN = "callbackTokenOne"
NO_TOKEN = 41001


@schemathesis.serializer("application/x-ndjson")
def lines(_, messages):
    """A value that is no list is one line. The server must refuse it."""
    messages = messages if isinstance(messages, list) else [messages]
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


@schemathesis.hook
def before_call(_, case, kwargs):
    """Signs every second callback. Otherwise all would be refused for their signature."""
    query = case.query
    if not case.operation.path.startswith("/callback/") or not query or len(str(query)) % 2:
        return
    signed = [CALLBACK_TOKEN, str(query.get("timestamp", "")), str(query.get("nonce", ""))]
    query["signature"] = hashlib.sha1("".join(sorted(signed)).encode("utf-8", "surrogatepass")).hexdigest()


@schemathesis.check
def examples_find_rows(_, response, case):
    """The examples of the document must find rows."""
    is_example = case.meta is not None and case.meta.phase.name.value == "examples"
    if is_example and case.operation.path.startswith("/datacube/"):
        assert response.json().get("list"), f"no rows: {response.text[:200]}"


def is_wechats(case):
    """These paths always answer HTTP 200 with the error code in the body. Pages below /cgi-bin/ are for people."""
    path = case.operation.path
    return path.startswith(("/datacube/", "/cgi-bin/")) and not path.endswith("page")


@schemathesis.check
def wrong_data_has_an_errcode(ctx, response, case):
    """Like negative_data_rejection, with the error codes of WeChat instead of status codes."""
    if not is_wechats(case):
        return None
    refused = copy.copy(response)
    refused.status_code = 400 if response.json().get("errcode") else 200
    return negative_data_rejection(ctx, refused, case)


@schemathesis.check
def no_token_is_refused(_, response, case):
    """Like ignored_auth, with the error code of WeChat: a call without a token must not be answered."""
    if not case.operation.path.startswith("/datacube/") or response.json().get("errcode"):
        return
    without = requests.post(response.request.url.split("?")[0], data=response.request.body, timeout=100)
    assert without.json()["errcode"] == NO_TOKEN, f"answered without a token: {without.text[:200]}"
