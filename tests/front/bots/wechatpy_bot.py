"""A bot as in the documentation of wechatpy. The text of the user chooses the reply: xml, success or empty. It answers in
the mode of the request.  wechatpy_bot.py TOKEN AES_KEY APPID"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.replies import create_reply
from wechatpy.utils import check_signature

TOKEN, AES_KEY, APPID = sys.argv[1:]


def reply_to(query, body):
    check_signature(TOKEN, query["signature"], query["timestamp"], query["nonce"])
    is_encrypted = query.get("encrypt_type") == "aes"
    crypto = WeChatCrypto(TOKEN, AES_KEY, APPID)
    if is_encrypted:
        body = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
    message = parse_message(body)
    text = message.content if message.type == "text" else "success"
    if not text.startswith("xml"):
        return "" if text.startswith("empty") else "success"
    reply = create_reply(f"{text} & 你好 <b>", message).render()
    return crypto.encrypt_message(reply, query["nonce"], query["timestamp"]) if is_encrypted else reply


class Bot(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        query = dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, text = 200, reply_to(query, body)
        except (InvalidSignatureException, InvalidAppIdException) as error:
            status, text = 403, str(error)
        self.answer(status, text)

    def do_GET(self):
        self.answer(200, "the bot itself was asked")

    def answer(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=utf-8" if data.startswith(b"<") else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Bot)
print(f"127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
