"""A ClickHouse server for tests, on loopback: clickhouse_node.py FOLDER PART_HASH_LIBRARY

FOLDER/config.xml is a configuration of clickhouse-server. The program is clickhouse-local of PyPI's chdb-core, which can open
the ports of a server (SYSTEM START LISTEN). Two things that replication needs are missing there, and are added here:
1. What a replica tells others of itself: its address for parts, and the credentials for it. In that program these are never set.
   So two functions are replaced in memory. This works with one build only, which is checked.
2. The HTTP endpoint that sends parts to other replicas. It is not in that program, so this process serves it.
Everything else (quorum, replication log, repeats, FINAL, SYNC) is ClickHouse's own code."""

import ctypes
import importlib
import importlib.util
import os
import re
import struct
import sys
import threading
import types
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "26.9.0"
BUILD_ID = bytes.fromhex("bdc4640446f9e58ef835635e38764a5992cd4b3c")
BUILD_ID_AT = 0x2119E010  # in the file
# Of that build, relative to where it is loaded. The first function is found by its error text "Parameter
# 'interserver_http(s)_port'": it is the only one that uses it. The second one stands right before it.
INTERSERVER_ADDRESS = 0x147217C0  # Context::getInterserverIOAddress() const
INTERSERVER_ADDRESS_BEGINS = bytes.fromhex("41565348")
INTERSERVER_CREDENTIALS = INTERSERVER_ADDRESS - 0x80  # Context::getInterserverCredentials() const
INTERSERVER_CREDENTIALS_BEGINS = bytes.fromhex("41574156534c8b3f")
PAGE = 4096
READ_WRITE_EXECUTE, READ_EXECUTE = 7, 5
NOBODY = ctypes.create_string_buffer(512)  # zeros: credentials without a user and a password. The patched function points to it.

# The version of the protocol of parts that is spoken here, and the fields that are the same for all parts.
PROTOCOL_VERSION = 9
NO_TTL = b"ttl format version: 1\n{}"
NO_UUID = b"00000000-0000-0000-0000-000000000000"


def engine():
    """The module of chdb-core, without the package around it, which would start an engine of its own."""
    found = importlib.util.find_spec("chdb")
    if found is None:
        raise SystemExit(f"chdb-core is not installed; install it with: pip install --no-deps chdb-core=={VERSION}")
    package = types.ModuleType("chdb")
    package.__path__ = [os.path.dirname(found.origin)]
    sys.modules["chdb"] = package
    return importlib.import_module("chdb._chdb")


def check_build(library):
    with open(library, "rb") as file:
        file.seek(BUILD_ID_AT)
        found = file.read(len(BUILD_ID))
    if found != BUILD_ID:
        raise SystemExit(
            f"{library} is another build than the one of chdb-core {VERSION} for x86_64, which this test server is made for; "
            f"install it with: pip install --no-deps chdb-core=={VERSION}"
        )


def loaded_at(library):
    with open("/proc/self/maps") as maps:
        return min(int(line.split("-")[0], 16) for line in maps if library in line)


def store(register_offset, value):
    """Machine code: writes 8 bytes to the address in rdi plus the offset."""
    return b"\x48\xb8" + value + b"\x48\x89\x47" + bytes([register_offset])


def address_code(host, port):
    """Machine code of a function that returns the pair (host, port), and also sets the scheme of the server to "http"."""
    # rsi: the context. It begins with the pointer to the settings that all contexts share. A string of up to 22 bytes is
    # stored in place: its bytes, and its length in the last of 24 bytes.
    set_scheme = (
        b"\x48\x8b\x16"  # mov rdx, [rsi]
        + b"\x48\xb8" + b"http".ljust(8, b"\0")  # mov rax, "http"
        + b"\x48\x89\x82\x70\x01\x00\x00"  # mov [rdx+0x170], rax
        + b"\xc6\x82\x87\x01\x00\x00\x04"  # mov byte [rdx+0x187], 4
    )
    # rdi: where the result goes
    text = host.encode().ljust(23, b"\0") + bytes([len(host)])
    set_host = b"".join(store(offset, text[offset:offset + 8]) for offset in (0, 8, 16))
    set_port = b"\x66\xc7\x47\x18" + struct.pack("<H", port)  # mov word [rdi+0x18], port
    return set_scheme + set_host + set_port + b"\x48\x89\xf8\xc3"  # mov rax, rdi; ret


def credentials_code(credentials):
    """Machine code of a function that returns a shared pointer to this object, without a count of its users."""
    return b"\x48\xb8" + struct.pack("<Q", ctypes.addressof(credentials)) + b"\x31\xd2\xc3"  # mov rax, address; xor edx, edx; ret


def replace_functions(library, port):
    base = loaded_at(library)
    for function, begins in (
        (INTERSERVER_ADDRESS, INTERSERVER_ADDRESS_BEGINS),
        (INTERSERVER_CREDENTIALS, INTERSERVER_CREDENTIALS_BEGINS),
    ):
        if ctypes.string_at(base + function, len(begins)) != begins:
            raise SystemExit(f"{library}: the function at {function:#x} begins with other bytes than expected; it is not replaced")
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    first_page = (base + INTERSERVER_CREDENTIALS) // PAGE * PAGE
    pages = (ctypes.c_void_p(first_page), ctypes.c_size_t(2 * PAGE))
    assert protect(*pages, READ_WRITE_EXECUTE) == 0, os.strerror(ctypes.get_errno())
    for function, code in (
        (INTERSERVER_ADDRESS, address_code("127.0.0.1", port)),
        (INTERSERVER_CREDENTIALS, credentials_code(NOBODY)),
    ):
        ctypes.memmove(base + function, code, len(code))
    assert protect(*pages, READ_EXECUTE) == 0, os.strerror(ctypes.get_errno())


def length_prefixed(data):
    """The length as ClickHouse writes it, 7 bits a byte, and the data."""
    length, prefix = len(data), b""
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return prefix + bytes([length]) + data


class Parts:
    """Finds and packs the parts of the tables of this node."""

    def __init__(self, http_port, hash_object):
        self.http_port = http_port
        self.hash_object = ctypes.CDLL(hash_object)
        self.folders = {}

    def sql(self, query):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/?max_execution_time=5", query.encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode().strip()

    def folder(self, replica_path):
        """Of the table with this path in ZooKeeper."""
        if not re.fullmatch(r"[\w/.-]+", replica_path):
            raise ValueError(f"not the path of a replica: {replica_path}")
        if replica_path not in self.folders:
            found = self.sql(
                "SELECT data_paths[1] FROM system.tables AS t, system.replicas AS r"
                f" WHERE t.database = r.database AND t.name = r.table AND r.replica_path = '{replica_path}'"
            )
            if not found:
                raise ValueError(f"no such replica here: {replica_path}")
            self.folders[replica_path] = found
        return self.folders[replica_path]

    def hash(self, data):
        result = (ctypes.c_uint64 * 2)()
        self.hash_object.part_hash(data, ctypes.c_size_t(len(data)), result)
        return struct.pack("<QQ", *result)

    def packed(self, query):
        """The part that this query asks for, as the server's DataPartsExchange sends it."""
        part = query["part"]
        if not re.fullmatch(r"[\w-]+", part):
            raise ValueError(f"not the name of a part: {part}")
        folder = os.path.join(self.folder(query["endpoint"].removeprefix("DataPartsExchange:")), part)
        files = {}
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name != "txn_version.txt" and os.path.isfile(path):
                with open(path, "rb") as file:
                    files[name] = file.read()
        packed = [
            struct.pack("<Q", sum(len(data) for data in files.values())),
            length_prefixed(files.get("ttl.txt", NO_TTL)),
            length_prefixed(b"Compact" if "data.bin" in files else b"Wide"),
            NO_UUID,
            struct.pack("<Q", 0),  # projections
            struct.pack("<Q", len(files)),
        ]
        for name, data in files.items():
            packed += [length_prefixed(name.encode()), struct.pack("<Q", len(data)), data, self.hash(data)]
        return b"".join(packed)


class Endpoint(BaseHTTPRequestHandler):
    """Answers other replicas."""

    protocol_version = "HTTP/1.1"
    # Headers and part leave at once: otherwise the part waits 40 ms until the other replica confirms that it has the headers.
    wbufsize = -1
    disable_nagle_algorithm = True
    parts = None

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        try:
            version = min(int(query.get("client_protocol_version", 0)), PROTOCOL_VERSION)
            body = self.parts.packed(query)
            self.send_response(200)
            self.send_header("Set-Cookie", f"server_protocol_version={version}")
        except Exception as error:  # whatever it is, the other replica has to know
            print("a part was asked for that cannot be sent:", self.path, repr(error), flush=True)
            body = f"Code: 232. DB::Exception: {error!r} (NO_SUCH_DATA_PART)".encode()
            self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve_parts(port, parts):
    Endpoint.parts = parts
    server = ThreadingHTTPServer(("127.0.0.1", port), Endpoint)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


def configured(xml, name):
    found = re.search(f"<{name}>(.*?)</{name}>", xml)
    return found and found[1]


def main():
    folder, hash_object = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.chdir(folder)  # clickhouse-local reads config.xml from where it is started
    with open("config.xml") as file:
        xml = file.read()
    program = engine()
    check_build(program.__file__)
    port = configured(xml, "interserver_http_port")
    if port:
        replace_functions(program.__file__, int(port))
        serve_parts(int(port), Parts(int(configured(xml, "http_port")), hash_object))
    # The server runs while the last query does. It sleeps 3 s a row, so that it costs nothing.
    answer = program.query(
        "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP;"
        " SELECT sleepEachRow(3) FROM system.numbers FORMAT Null"
        " SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_threads = 1, max_execution_time = 0",
        "TSV",
        path=os.path.join(folder, "data"),
    )
    print("the server ended:", answer.error_message(), flush=True)


main()
