"""A PostgreSQL server of the soak's own, with a role and a schema for each service, that can be restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.machine import free_port
from benchmarks.postgresql_server import BINARIES, no_server

DATABASE = "hotels"
CONNECTIONS = 200
POOL = 5  # connections of a service in one process: fourteen of them, and as many again while one run follows another
# What docs/data.md and docs/reliability.md tell operators to set: a replica that stands still, or is cut off, in the
# middle of a transaction must not hold its locks for ever.
SETTINGS = (
    f"max_connections={CONNECTIONS}",
    "idle_in_transaction_session_timeout=10s",
    "tcp_keepalives_idle=5",
    "tcp_keepalives_interval=2",
    "tcp_keepalives_count=3",
    "log_min_messages=warning",
)


class Missing(Exception):
    """A server that was asked for is not on this machine; the text says what to do."""


class Cluster:
    """One server: `durable` is whether a commit waits for the disk."""

    def __init__(self, folder: Path, host: str, *, durable: bool) -> None:
        self.durable = durable
        self.port = free_port()
        self._folder = folder
        self._host = host
        self._settings = [*SETTINGS, f"fsync={'on' if durable else 'off'}"]

    def url(self, user: str) -> str:
        """Where a user finds it."""
        return f"postgresql://{user}@{self._host}:{self.port}/{DATABASE}"

    def template(self) -> str:
        """The URL of each service's part, as a placement names it."""
        return f"{self.url('{service}')}?schema={{service}}&pool={POOL}&server_pool={POOL}"

    def make(self, services: Sequence[str], network: str) -> None:
        """Make its files, start it, and make database, roles and schemas as docs/data.md says."""
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        with (self._folder / "data" / "pg_hba.conf").open("a") as hosts:
            hosts.write(f"host all all {network} trust\n")
        self.start()
        with psycopg.connect(self.url("postgres").replace(f"/{DATABASE}", "/postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
            connection.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for each in services:
                connection.execute(f"CREATE ROLE {each} LOGIN")
                connection.execute(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {DATABASE} TO {each}")
                connection.execute(f"CREATE SCHEMA {each} AUTHORIZATION {each}")
                connection.execute(f"ALTER ROLE {each} IN DATABASE {DATABASE} SET search_path = {each}")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = " ".join(f"-c {each}" for each in self._settings)
        sockets = f"-c listen_addresses={self._host} -c unix_socket_directories={self._folder}"
        self._run(
            "pg_ctl", "-o", f"-p {self.port} {sockets} {settings}", "-l", str(self._folder / "log"), "-w", "start"
        )

    def stop(self, mode: str) -> None:
        """End it: `fast` breaks its connections, `immediate` is as if it had crashed."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    def restart(self, mode: str) -> None:
        """End it so, and start it again."""
        self.stop(mode)
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, BINARIES / program, "-D", self._folder / "data", *arguments]
        # With a file: a server that pg_ctl leaves behind would hold a pipe open for ever.
        with (self._folder / "said").open("w+") as said:
            ended = subprocess.run(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, check=False)
            if ended.returncode:
                said.seek(0)
                raise RuntimeError(f"{program} {' '.join(arguments[-1:])}: {said.read()[-600:]}")


@contextmanager
def running(services: Sequence[str], host: str, network: str, *, durable: bool) -> Iterator[Cluster]:
    """A server that is ready, and gone afterwards; raises Missing where there is none to be started."""
    if (why := no_server()) is not None:
        raise Missing(f"{why}: install the package postgresql, or leave out --postgresql")
    folder = Path(tempfile.mkdtemp(prefix="soak-postgresql-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    cluster = Cluster(folder, host, durable=durable)
    try:
        cluster.make(services, network)
        yield cluster
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            cluster.stop("fast")
        shutil.rmtree(folder)
