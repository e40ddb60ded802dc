"""Stands for the program in other tests: `serve` starts three processes on one store, which answer in turn, each request at another
one. three.py STORES BINARY serve --config FILE --data-dir DIR [OPTION]...
STORES: a JSON file with the section [store] for each name of a data folder."""

import http.client
import json
import pathlib
import signal
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "front"))
from script import Script  # noqa: E402

PROCESSES = 3
ANSWER_SECONDS = 120
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class InTurn:
    """Passes each request on to the next process. The process sees the address of the caller."""

    def __init__(self, addresses):
        self.addresses, self.turn = addresses, 0

    def __call__(self, exchange):
        self.turn += 1
        if exchange.path == "/metrics":
            return exchange.answer(*self._all_metrics(exchange))
        answer = self._pass_on(exchange, self.addresses[self.turn % len(self.addresses)])
        if answer is None:
            return False  # closes the connection here, too
        return exchange.answer(*answer)

    def _all_metrics(self, exchange):
        """The samples of all processes, added up as Prometheus does."""
        sums, answers = {}, [self._pass_on(exchange, address) for address in self.addresses]
        for line in b"\n".join(answer[0] for answer in answers).decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name and not line.startswith("#"):
                sums[name] = sums.get(name, 0) + float(value)
        content = "".join(f"{name} {value:g}\n" for name, value in sums.items())
        return content.encode(), *answers[0][1:]

    def _pass_on(self, exchange, address):
        """The arguments of `answer`. None if the connection was closed without an answer."""
        caller = exchange.connection.socket.getpeername()[0]
        connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS, source_address=(caller, 0))
        try:
            answer = self._ask(connection, exchange)
            content = answer.read()
        except (http.client.HTTPException, ConnectionError):
            return None
        finally:
            connection.close()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_THE_CONNECTION]
        return content, f"{answer.status} {answer.reason}", None, headers

    def _ask(self, connection, exchange):
        body = exchange.body()
        connection.putrequest(exchange.method, exchange.target, skip_host=True, skip_accept_encoding=True)
        for name, value in exchange.headers:
            if name not in OF_THE_CONNECTION:
                connection.putheader(name, value)
        if body or exchange.method != "GET":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse()


def start(binary, config, folder, options):
    process = subprocess.Popen(
        [binary, "serve", "--config", config, "--data-dir", folder, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    line = process.stdout.readline().decode()
    assert line.startswith("listening on http://"), f"it did not start: {line!r}"
    return process, line.split("http://")[1].strip()


def main(stores, binary, command, config_option, config, data_option, data, *options):
    assert (command, config_option, data_option) == ("serve", "--config", "--data-dir"), "as tests/sdk/run.sh calls it"
    config, data = pathlib.Path(config), pathlib.Path(data)
    section = json.loads(pathlib.Path(stores).read_text())[data.name]
    shared = config.with_suffix(".shared.toml")
    shared.write_text(config.read_text() + section)
    subprocess.run([binary, "store", "init", "--config", shared], check=True, stdout=subprocess.DEVNULL)
    data.mkdir()
    # The first one makes the data key.
    started = [start(binary, shared, data / str(number), options) for number in range(PROCESSES)]
    script = Script(InTurn([address for _, address in started]), keep_bytes=False)
    signal.signal(signal.SIGTERM, lambda *_: None)  # interrupts the wait
    print(f"listening on {script.url}", flush=True)
    signal.pause()
    for process, _ in started:
        process.send_signal(signal.SIGTERM)
    sys.exit(max(abs(process.wait(60)) for process, _ in started))


if __name__ == "__main__":
    main(*sys.argv[1:])
