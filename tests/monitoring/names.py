"""Every metric and label that the rules and the dashboard name is in /metrics of the running program, after one callback of
each kind.  names.py BINARY FOLDER RULES DASHBOARD"""

import atexit
import hashlib
import http.client
import http.server
import json
import pathlib
import re
import subprocess
import sys
import threading
import time

APPID, SECRET, TOKEN, ADMIN_KEY = "wxmonitoring00001", "monitoring-secret", "monitoringToken", "monitoring-admin-key"
# Labels that Prometheus adds.
OF_PROMETHEUS = {"job", "instance"}


class Neighbour(http.server.BaseHTTPRequestHandler):
    """Bot and upstream: answers everything."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"access_token":"a-real-token-of-the-test","expires_in":7200}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


def start(binary, folder, neighbour):
    config = folder / "msgcube.toml"
    config.write_text(
        f'listen = "127.0.0.1:0"\ndata_dir = "data"\nadmin_key = "{ADMIN_KEY}"\n'
        f'[upstream]\nbase = "http://127.0.0.1:{neighbour}"\n'
        f'[[account]]\nappid = "{APPID}"\nsecret = "{SECRET}"\ntoken = "{TOKEN}"\n'
        f'[account.relay]\nurl = "http://127.0.0.1:{neighbour}/"\n'
    )
    with open(folder / "log", "wb") as log:
        program = subprocess.Popen(
            [binary, "serve", "--config", config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
    atexit.register(program.kill)
    line = program.stdout.readline().decode()
    assert line.startswith("listening on http://"), (line, (folder / "log").read_text())
    return line.split("http://")[1].strip()


def ask(address, method, path, body=None, headers=()):
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content


def post_callback(address, appid, token):
    now = str(int(time.time()))
    signature = hashlib.sha1("".join(sorted([token, now, "nonce"])).encode()).hexdigest()
    body = (
        f"<xml><ToUserName>gh</ToUserName><FromUserName>o1</FromUserName><CreateTime>{now}</CreateTime>"
        "<MsgType>text</MsgType><Content>x</Content><MsgId>1</MsgId></xml>"
    )
    return ask(address, "POST", f"/callback/{appid}?signature={signature}&timestamp={now}&nonce=nonce", body)[0]


def use(address):
    """One callback that counts, one that is refused, one to an unknown account, and a call to each side."""
    assert post_callback(address, APPID, TOKEN) == 200
    assert post_callback(address, APPID, "another") == 401
    assert post_callback(address, "wxunknown", TOKEN) == 404
    token = ask(address, "GET", f"/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}")[1]
    token = json.loads(token)["access_token"]
    dates = json.dumps({"begin_date": "2020-01-01", "end_date": "2020-01-01"})
    ask(address, "POST", f"/datacube/getupstreammsg?access_token={token}", dates)
    assert ask(address, "GET", f"/cgi-bin/menu/get?access_token={token}")[0] == 200


def shown(text):
    """The labels of each metric."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels or ""))
    return found


def expressions(rules, dashboard):
    """The PromQL of both files. promtool has checked the form of the rules."""
    yield from re.findall(r"expr: (?:\|\n)?((?:.+\n)(?: {10,}.+\n)*)", rules)
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable)


def named(expression):
    """Metrics with the labels that select or group by."""
    grouping = {
        label for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in re.split(r",\s*", group) if label
    }
    for metric, selector in re.findall(r"\b(msgcube_\w+)(?:\{([^}]*)\})?", expression):
        yield metric, grouping | set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))


def main():
    binary, folder, rules, dashboard = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    neighbour = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Neighbour)
    threading.Thread(target=neighbour.serve_forever, daemon=True).start()
    address = start(binary, folder, neighbour.server_address[1])
    use(address)
    status, text = ask(address, "GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert status == 200, text
    assert "wxunknown" not in text, "an unknown appid became a label"
    metrics = shown(text)
    pairs = [pair for one in expressions(rules.read_text(), json.loads(dashboard.read_text())) for pair in named(one)]
    wrong = {
        f"{metric} {sorted(labels - OF_PROMETHEUS - metrics.get(metric, set()))}"
        for metric, labels in pairs
        if metric not in metrics or labels - OF_PROMETHEUS - metrics[metric]
    }
    assert not wrong, f"not in /metrics: {sorted(wrong)}"
    rule_count = rules.read_text().count("expr:")
    found = sum(1 for _ in expressions(rules.read_text(), {"panels": [], "templating": {"list": []}}))
    assert found == rule_count, f"{found} of {rule_count} rules were read"
    print(f"{len({metric for metric, _ in pairs})} metrics named, all of them in /metrics")


main()
