"""ZooKeeper from Debian's libzookeeper-java, one process."""

import pathlib
import shutil
import socket

from process import CannotRun, Server

JARS = pathlib.Path("/usr/share/java")
NEEDED = (
    "zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "netty-handler", "netty-common", "netty-buffer", "netty-transport",
    "netty-transport-native-epoll", "netty-transport-native-unix-common", "netty-resolver", "netty-codec", "commons-cli",
    "commons-io", "jackson-annotations", "jackson-core", "jackson-databind", "snappy-java", "metrics-core",
)


class ZooKeeper(Server):
    def __init__(self, folder, port):
        super().__init__("zk", folder)
        self.port = port

    def prepare(self):
        missing = [jar for jar in NEEDED if not (JARS / f"{jar}.jar").exists()]
        if missing or not shutil.which("java"):
            raise CannotRun(
                f"ZooKeeper cannot run: java or {missing} of {JARS} are missing; install them with:"
                " apt-get install --no-install-recommends libzookeeper-java default-jre-headless"
            )
        self.folder.mkdir(parents=True)
        (self.folder / "zoo.cfg").write_text(
            f"tickTime=1000\ndataDir={self.folder}/data\nclientPort={self.port}\nclientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n"
        )

    def command(self):
        jars = ":".join(str(JARS / f"{jar}.jar") for jar in NEEDED)
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        program = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return ["java", *options, "-cp", jars, program, self.folder / "zoo.cfg"]

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"srvr")
                # It answers before it takes sessions, but without its mode.
                return b"Mode:" in connection.makefile("rb").read()
        except OSError:
            return False
