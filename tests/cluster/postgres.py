"""PostgreSQL 15 or later: a primary, alone or with a synchronous standby that can be promoted. fsync stays on."""

import os
import pathlib
import pwd
import re
import signal
import subprocess

from process import CannotRun, Server
from program import until

USER, PASSWORD, DATABASE = "msgcube", "testonly", "msgcube"
OLDEST = 15
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 32MB
max_connections = 200
wal_level = replica
hot_standby = on
max_wal_size = 256MB
# A standby that is away must not make the primary keep its log for ever, but the tests' log is small.
wal_keep_size = 256MB
# No work while idle.
autovacuum_naptime = 600s
bgwriter_delay = 10s
wal_writer_delay = 1s
# A standby that was paused is noticed.
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
wal_retrieve_retry_interval = 200ms
log_line_prefix = '%m [%p] %a '
timezone = 'UTC'
"""
# Only on loopback. The administrator of the server and the standby need no password; msgcube's user does.
ACCESS = """
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


class SqlError(Exception):
    """What psql said."""


def programs():
    """The folder with initdb, pg_ctl and the others, of the newest version."""
    found = {}
    for folder in pathlib.Path("/usr/lib/postgresql").glob("*/bin"):
        version = re.fullmatch(r"\d+", folder.parent.name)
        if version and int(version[0]) >= OLDEST and (folder / "initdb").exists():
            found[int(version[0])] = folder
    if not found:
        raise CannotRun(
            f"PostgreSQL {OLDEST} or later is not installed; install it with: apt-get install --no-install-recommends postgresql"
        )
    return found[max(found)]


def unprivileged():
    """PostgreSQL refuses to run as root. None if the tests do not run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            pass
    raise CannotRun("neither the user postgres nor nobody exists, and PostgreSQL does not run as root")


class Postgres(Server):
    """A primary, or the standby of `primary`."""

    stop_signal = signal.SIGINT  # ends at once, with a last checkpoint; SIGTERM waits for all clients

    def __init__(self, name, folder, port, primary=None, synchronous=False):
        super().__init__(name, folder)
        self.port, self.primary, self.synchronous = port, primary, synchronous
        self.bin, self.user = programs(), unprivileged()

    @property
    def data(self):
        return self.folder / "data"

    def run(self, program, *arguments):
        done = subprocess.run(
            [self.bin / program, *arguments], capture_output=True, text=True, cwd=self.folder,
            user=self.user, group=self.user, extra_groups=[] if self.user else None,
        )
        if done.returncode != 0:
            raise CannotRun(f"{self.name}: {program} failed: {done.stderr}{done.stdout}")

    def prepare(self):
        self.folder.mkdir(parents=True)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            reachable = subprocess.run(
                ["test", "-w", self.folder], user=self.user, group=self.user, extra_groups=[]
            )
            if reachable.returncode != 0:
                raise CannotRun(
                    f"the user {self.user} cannot enter {self.folder}, and PostgreSQL does not run as root; choose a folder whose"
                    " parents everybody may enter, for example one directly in /tmp"
                )
        if self.primary is None:
            # Not synced only while it is made; the server itself syncs.
            self.run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
            self._configure()

    def _configure(self):
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(SETTINGS)
            file.write(f"port = {self.port}\ncluster_name = '{self.name}'\n")
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def create_user(self):
        """msgcube's user and database. Tests may create databases of their own."""
        self.sql(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'", database="postgres")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {USER}", database="postgres")

    def copy_of_primary(self):
        """Makes the data of a standby. The primary must run."""
        source = f"host=127.0.0.1 port={self.primary.port} user=postgres application_name={self.name}"
        self.run("pg_basebackup", "-D", self.data, "-d", source, "-R", "-c", "fast", "-X", "stream", "--no-sync")
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(f"port = {self.port}\ncluster_name = '{self.name}'\nsynchronous_standby_names = ''\n")

    def wait_for_standby(self, standby):
        """From here on a commit waits until the standby has it on its disk."""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{standby.name}'", database="postgres")
        self.sql("SELECT pg_reload_conf()", database="postgres")
        until(
            f"{standby.name} is synchronous",
            lambda: self.sql("SELECT sync_state FROM pg_stat_replication", database="postgres") == "sync",
        )

    def promote(self):
        """Makes a standby the primary. The old primary must not run any more."""
        self.run("pg_ctl", "promote", "-D", self.data, "-w")

    def command(self):
        return [self.bin / "postgres", "-D", self.data]

    def ready(self):
        probe = [self.bin / "pg_isready", "-q", "-t", "2", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        return subprocess.run(probe, user=self.user, group=self.user, extra_groups=[] if self.user else None).returncode == 0

    def sql(self, query, database=DATABASE, seconds=60):
        """The rows as text, columns separated by |. Raises SqlError."""
        done = subprocess.run(
            [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
             "-U", "postgres", "-d", database, "-c", query],
            capture_output=True, text=True, timeout=seconds,
        )
        if done.returncode != 0:
            raise SqlError(done.stderr.strip())
        return done.stdout.strip()

    def kill(self):
        super().kill()
        # It would hold up the next start if another process had this pid by then.
        (self.data / "postmaster.pid").unlink(missing_ok=True)


def url(servers):
    """For msgcube. With several servers it finds the one that takes writes."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    target = "?target_session_attrs=read-write" if len(servers) > 1 else ""
    return f"postgres://{USER}:{PASSWORD}@{hosts}/{DATABASE}{target}"
