"""A real ClickHouse server that is too old: Debian 12 has 18.16. It only proves that such a server is refused."""

import shutil
import subprocess

from clickhouse import PASSWORD, USER, installed_server
from process import CannotRun, Server, http_get

PACKAGE = "clickhouse-server"


def installed():
    """The path of the old server, or None."""
    path = shutil.which(PACKAGE) or shutil.which(f"/usr/sbin/{PACKAGE}")
    if path is None or installed_server():
        return None
    # 18.16 has no --version. Debian's package says it.
    said = subprocess.run(["dpkg-query", "-W", "-f=${Version}", PACKAGE], capture_output=True, text=True).stdout
    return path if said.startswith("18.") else None


class OldClickHouse(Server):
    def __init__(self, folder, http, native):
        super().__init__("old", folder)
        self.http, self.native = http, native
        self.url = f"http://127.0.0.1:{http}"

    def prepare(self):
        if not installed():
            raise CannotRun(f"Debian's {PACKAGE} 18.16 is not installed; on Debian 12 install it with: apt-get install {PACKAGE}")
        for name in ("data", "tmp", "formats"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "config.xml").write_text(
            f"<yandex><logger><level>warning</level><log>{self.folder}/server.log</log></logger>"
            f"<listen_host>127.0.0.1</listen_host><http_port>{self.http}</http_port><tcp_port>{self.native}</tcp_port>"
            f"<path>{self.folder}/data/</path><tmp_path>{self.folder}/tmp/</tmp_path>"
            f"<format_schema_path>{self.folder}/formats/</format_schema_path><users_config>{self.folder}/users.xml</users_config>"
            "<default_profile>default</default_profile><default_database>default</default_database>"
            "<mark_cache_size>67108864</mark_cache_size></yandex>\n"
        )
        rights = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>"
        (self.folder / "users.xml").write_text(
            "<yandex><profiles><default></default></profiles><quotas><default></default></quotas><users>"
            f"<default><password></password>{rights}</default><{USER}><password>{PASSWORD}</password>{rights}</{USER}>"
            "</users></yandex>\n"
        )

    def command(self):
        return [installed(), f"--config-file={self.folder / 'config.xml'}"]

    def ready(self):
        return http_get(self.http, "/ping") == (200, "Ok.\n")
