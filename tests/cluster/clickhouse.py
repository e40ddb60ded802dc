"""ClickHouse nodes: clickhouse-server from PATH if it is 24.8 or later, otherwise the server in PyPI's chdb-core."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

from process import CannotRun, Server, http_get

HERE = pathlib.Path(__file__).resolve().parent
CLUSTER = "wx"
USER, PASSWORD = "msgcube", "testonly"
# Has the rights that docs/scaling.md tells operators to give, in each of the databases that the tests use.
LIMITED_USER = "limited"
DATABASE = "msgcube"
# The data folders of tests/sdk/run.sh.
SDK_DATABASES = ["real_clock", "data"]
OLDEST = (24, 8)


class CannotMount(CannotRun):
    """No disk of a chosen size can be had here."""


class Refused(Exception):
    """The node answered with an error. `code` is ClickHouse's number of it, or None."""

    def __init__(self, text):
        super().__init__(text.strip())
        found = re.search(r"Code: (\d+)", text)
        self.code = found and int(found[1])


def may_mount():
    """Whether this process has the right to mount a file system (Linux's CAP_SYS_ADMIN)."""
    status = pathlib.Path("/proc/self/status").read_text()
    return bool(int(re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)[1], 16) >> 21 & 1)


def installed_server():
    """The path of a clickhouse-server that is new enough, or None."""
    path = shutil.which("clickhouse-server")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    return path if found and (int(found[1]), int(found[2])) >= OLDEST else None


def hash_library(folder):
    """Compiles part_hash.c."""
    hash_object = folder / "part_hash.so"
    compile_library(hash_object, "part_hash.c")
    return hash_object


def compile_library(hash_object, source):
    """Compiles a file of this folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotRun("no C compiler; install it with: apt-get install --no-install-recommends gcc libc6-dev")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", hash_object, HERE / source, "-ldl"], check=True)


class Node(Server):
    """`ports` has http, native and, with replication, interserver. `cluster` is the list of shards, each a list of
    (replica's name, native port)."""

    def __init__(self, name, folder, ports, hash_object, shard=None, cluster=(), zookeeper=None, disk=None):
        super().__init__(name, folder)
        self.ports, self.hash_object, self.shard = ports, hash_object, shard
        self.cluster, self.zookeeper, self.disk = cluster, zookeeper, disk
        self.url = f"http://127.0.0.1:{ports['http']}"

    def prepare(self):
        self.data.mkdir(parents=True)
        if self.disk:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={self.disk}", "tmpfs", self.data]
            if subprocess.run(mount).returncode != 0:
                raise CannotMount(f"{self.name}: a tmpfs of {self.disk} cannot be mounted on {self.data}; this needs root")
        (self.folder / "config.xml").write_text(self.config())
        (self.folder / "users.xml").write_text(_users())

    @property
    def data(self):
        return self.folder / "data"

    def command(self):
        server = installed_server()
        if server:
            return [server, f"--config-file={self.folder / 'config.xml'}"]
        return [sys.executable, HERE / "clickhouse_node.py", self.folder, self.hash_object]

    def ready(self):
        return http_get(self.ports["http"], "/ping") == (200, "Ok.\n")

    def sql(self, query, body=None, seconds=60, **settings):
        """The answer as text. Raises Refused if the node answers with an error, OSError if it does not answer."""
        # An answer that is greater than the buffer goes through a file, and if the disk is full, its end is lost without an error.
        parameters = {"wait_end_of_query": 1, "http_response_buffer_size": 100_000_000, **settings}
        if body is None:
            body = query.encode()
        else:
            parameters["query"] = query
        request = urllib.request.Request(f"{self.url}/?{urllib.parse.urlencode(parameters)}", body)
        request.add_header("X-ClickHouse-User", USER)
        request.add_header("X-ClickHouse-Key", PASSWORD)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode(errors="replace")) from error
        return text.strip()

    def fill(self, leave=0):
        """Fills the disk of a node that has its own, except for about `leave` bytes."""
        assert self.disk, f"{self.name} has no disk of its own"
        with open(self.data / "ballast", "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                # The node writes and removes files at the same time, so the disk may be full before.
                with contextlib.suppress(OSError):
                    while self._free() >= leave + size:
                        file.write(b"\0" * size)

    def _free(self):
        disk = os.statvfs(self.data)
        return disk.f_bavail * disk.f_bsize

    def make_room(self):
        (self.data / "ballast").unlink(missing_ok=True)

    def clear(self):
        """Removes all its data, as if its machine was replaced."""
        for entry in self.data.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def close(self):
        super().close()
        if os.path.ismount(self.data):
            subprocess.run(["umount", "-l", self.data], check=True)

    def last_words(self):
        try:
            log = (self.folder / "server.log").read_text(errors="replace")
        except OSError:
            log = ""
        bad = [line for line in log.splitlines() if "<Error>" in line or "<Fatal>" in line]
        return super().last_words() + "\n".join(bad[-5:])

    def config(self):
        # Small pools, so that many nodes share two cores and cost little while they are idle.
        parts = [
            "<clickhouse>",
            "<log-level>information</log-level>",  # what chdb-core reads; a server reads the level below
            f"<logger><level>information</level><log>{self.folder}/server.log</log><size>20M</size><count>2</count></logger>",
            "<listen_host>127.0.0.1</listen_host>",
            f"<http_port>{self.ports['http']}</http_port><tcp_port>{self.ports['native']}</tcp_port>",
            f"<users_config>{self.folder}/users.xml</users_config>",
            "<max_server_memory_usage>3000000000</max_server_memory_usage>",
            "<mark_cache_size>67108864</mark_cache_size>",
            "<background_pool_size>4</background_pool_size>",
            "<background_schedule_pool_size>16</background_schedule_pool_size>",
            "<background_fetches_pool_size>4</background_fetches_pool_size>",
            "<background_common_pool_size>4</background_common_pool_size>",
            "<asynchronous_metrics_update_period_s>60</asynchronous_metrics_update_period_s>",
            # for so small a pool: otherwise a node refuses to start
            "<merge_tree><number_of_free_entries_in_pool_to_execute_mutation>2"
            "</number_of_free_entries_in_pool_to_execute_mutation><number_of_free_entries_in_pool_to_lower_max_size_of_merge>2"
            "</number_of_free_entries_in_pool_to_lower_max_size_of_merge>"
            "<number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2"
            "</number_of_free_entries_in_pool_to_execute_optimize_entire_partition></merge_tree>",
        ]
        if installed_server():
            parts += [f"<path>{self.data}/</path>", "<default_profile>default</default_profile>"]
        if self.zookeeper:
            parts += self._replication()
        return "\n".join([*parts, "</clickhouse>\n"])

    def _replication(self):
        shards = ""
        for shard in self.cluster:
            replicas = "".join(
                f"<replica><host>127.0.0.1</host><port>{port}</port>"
                f"<user>{USER}</user><password>{escape(PASSWORD)}</password></replica>"
                for _, port in shard
            )
            shards += f"<shard><internal_replication>true</internal_replication>{replicas}</shard>"
        return [
            f"<interserver_http_port>{self.ports['interserver']}</interserver_http_port>",
            "<interserver_http_host>127.0.0.1</interserver_http_host>",
            f"<zookeeper><node index=\"1\"><host>127.0.0.1</host><port>{self.zookeeper}</port></node>"
            # Each node its own path: in chdb-core all have the same id, and would end the sessions of each other.
            f"<session_timeout_ms>6000</session_timeout_ms><sessions_path>/clickhouse/sessions/{self.name}</sessions_path>"
            "</zookeeper>",
            f"<macros><cluster>{CLUSTER}</cluster><shard>{self.shard}</shard><replica>{self.name}</replica></macros>",
            "<distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>",
            f"<remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers>",
        ]


def _users():
    networks = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>"
    password = f"<password>{escape(PASSWORD)}</password>"
    grants = "".join(f"<query>{escape(grant)}</query>" for grant in _documented_rights())
    return (
        "<clickhouse><profiles><default></default></profiles><quotas><default></default></quotas><users>"
        f"<default><password></password>{networks}</default>"
        f"<{USER}>{password}{networks}</{USER}>"
        f"<{LIMITED_USER}>{password}{networks}<grants>{grants}</grants></{LIMITED_USER}>"
        "</users></clickhouse>\n"
    )


def _documented_rights():
    page = (HERE.parent.parent / "docs" / "scaling.md").read_text()
    rights = re.findall(r"^(GRANT .+) TO msgcube;", page, re.MULTILINE)
    assert rights, "docs/scaling.md names no rights"
    databases = [DATABASE, *SDK_DATABASES]
    return dict.fromkeys(right.replace("ON msgcube.*", f"ON {database}.*") for right in rights for database in databases)
