"""PostgreSQL servers of a test's own, which it may stop, fill up, replicate and fail over."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server of the test's own, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.data = folder / "data"
        self._options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"

    def run(self, program: str, *arguments: str | Path) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*as_user, BINARIES / program, *arguments], check=True, **quiet)

    def make(self) -> None:
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "--no-sync")

    def copy(self, of: "Server") -> None:
        """A standby of another one."""
        place = ["-h", "127.0.0.1", "-p", str(of.port), "-U", "postgres"]
        self.run("pg_basebackup", *place, "-D", self.data, "-R", "-c", "fast", "--no-sync")

    @property
    def url(self) -> str:
        """Its database, for its administrator."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each committed by itself; the rows of the last one."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for each in statements[:-1]:
                connection.execute(each)
            found = connection.execute(statements[-1])
            return found.fetchall() if found.description is not None else []

    def control(self, *verb: str) -> None:
        options = ["-o", self._options, "-l", self.data.parent / "log"] if verb[0] in ("start", "restart") else []
        self.run("pg_ctl", "-D", self.data, "-w", *options, *verb)


@contextmanager
def servers_of_its_own(*names: str) -> Iterator[list[Server]]:
    """Folders for servers, readable to their user; whatever runs in them ends with the block."""
    if BINARIES is None or shutil.which("runuser") is None:
        pytest.skip("there is no PostgreSQL on this machine to start")
    with tempfile.TemporaryDirectory(prefix="servers-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        made = []
        for name in names:
            (place / name).mkdir()
            if os.geteuid() == 0:
                shutil.chown(place / name, "postgres")
            made.append(Server(place / name))
        try:
            yield made
        finally:
            for each in reversed(made):  # a primary after its standbys
                try:
                    each.control("stop", "-m", "immediate")
                except subprocess.CalledProcessError:
                    continue  # it doesn't run
