"""The gateway with unmodified wechatpy: menus, users, customer-service messages and media go to WeChat, the message figures
do not. Neither side ever sees the token of the other.  gateway_sdk.py BINARY"""

import io
import json
import os
import pathlib
import sys
import warnings

from wechatpy import WeChatClient

from callbacks import message
from cases import case, run
from wechat import REAL_SECRET, Gateway, WeChat, as_json

sys.path.append(str(pathlib.Path(__file__).parents[1] / "sdk"))
from front import Front  # noqa: E402

warnings.simplefilter("ignore", DeprecationWarning)
MENU = {"button": [{"type": "click", "name": "今日歌曲", "key": "V1001"}, {"name": "更多", "sub_button": []}]}
USER = {"subscribe": 1, "openid": "oUser", "language": "zh_CN", "remark": '备注 "& <b>', "tagid_list": [128, 2]}
FOLLOWERS = {"total": 2, "count": 2, "data": {"openid": ["oA", "oB"]}, "next_openid": "oB"}
IMAGE = bytes(range(256)) * 4000


class Paths:
    """What WeChat answers to these calls, and what it received."""

    def __init__(self):
        self.menus, self.sent, self.uploads = [], [], []

    def all(self):
        keep = lambda where, answer: lambda exchange: (where.append(exchange.body()), as_json(exchange, answer))[1]
        done = {"errcode": 0, "errmsg": "ok"}
        return {
            "/cgi-bin/menu/create": keep(self.menus, done),
            "/cgi-bin/menu/get": lambda exchange: as_json(exchange, {"menu": MENU}),
            "/cgi-bin/user/info": lambda exchange: as_json(exchange, USER),
            "/cgi-bin/user/get": lambda exchange: as_json(exchange, FOLLOWERS),
            "/cgi-bin/message/custom/send": keep(self.sent, done),
            "/cgi-bin/media/upload": keep(self.uploads, {"type": "image", "media_id": "MEDIA", "created_at": 1}),
            "/cgi-bin/media/get": lambda exchange: exchange.answer(
                IMAGE, type="image/jpeg", headers=[("Content-disposition", 'attachment; filename="MEDIA.jpg"')]
            ),
            "/datacube/getusersummary": lambda exchange: as_json(exchange, {"list": [{"ref_date": "2026-03-01", "new_user": 3}]}),
            "/cgi-bin/user/info/updateremark": lambda exchange: as_json(exchange, {"errcode": 45009, "errmsg": "reach max api"}),
        }


@case
def wechatpy_calls_everything_through_one_base(scene):
    paths = Paths()
    wechat = scene.started(WeChat(paths.all()))
    gateway = Gateway(scene, wechat.url)
    account, program = gateway.account, gateway.program
    assert account.post(program, account.safe(message())).body == b"success"
    os.environ["NO_PROXY"] = ""
    front = Front(f"http://{program.address}")
    client = WeChatClient(account.appid, account.secret)

    client.menu.create(MENU)
    assert json.loads(paths.menus[0]) == MENU
    assert client.menu.get() == {"menu": MENU}
    assert client.user.get("oUser") == USER
    assert client.user.get_followers() == FOLLOWERS
    client.message.send_text("oUser", "你好 & <b>")
    assert json.loads(paths.sent[0])["text"]["content"] == "你好 & <b>"
    assert client.media.upload("image", io.BytesIO(IMAGE))["media_id"] == "MEDIA"
    assert IMAGE in paths.uploads[0], "the multipart body is passed on as it is"
    download = client.media.download("MEDIA")
    assert (download.content, download.headers["Content-Type"]) == (IMAGE, "image/jpeg")
    assert download.headers["Content-disposition"] == 'attachment; filename="MEDIA.jpg"'
    assert client.datacube.get_user_summary("2026-03-01", "2026-03-01")[0]["new_user"] == 3
    try:
        client.user.update_remark("oUser", "x")
        raise AssertionError("45009 did not reach the SDK")
    except Exception as error:
        assert getattr(error, "errcode", None) == 45009, error

    other_process_takes_the_token(wechat, client, account)
    assert len(front.hosts) == 1, f"the connection is kept alive, not {len(front.hosts)} of them"
    neither_side_sees_the_other(wechat, client, program, account)


def other_process_takes_the_token(wechat, client, account):
    """Another process forces a new real token. The SDK does not notice."""
    ours, calls = client.access_token, len(wechat.calls)
    wechat.new_token(account.appid)
    assert client.menu.get() == {"menu": MENU}
    assert client.access_token == ours, "the SDK did not have to fetch another token"
    assert wechat.calls[calls:] == [(account.appid, False)], wechat.calls


def neither_side_sees_the_other(wechat, client, program, account):
    received, ours = wechat.received(), client.access_token
    real = [token for token, _ in wechat.tokens.values()]
    assert ours.encode() not in received and account.secret.encode() not in received
    assert real[0].encode() in received and REAL_SECRET.encode() in received
    assert real[0] != ours
    written = program.log() + "".join(path.read_bytes().decode("latin-1") for path in scene_files(program))
    for secret in (ours, real[0], REAL_SECRET, account.secret):
        assert secret not in written, f"{secret} stands in the log or in the data"
    assert not [name for name, _ in sum((each.headers for each in wechat.exchanges), []) if name == "authorization"]


def scene_files(program):
    return [path for path in program.folder.joinpath("data").rglob("*") if path.is_file()]


run()
