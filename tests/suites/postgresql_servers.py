"""PostgreSQL servers of a test's own, which it may stop, fill up, replicate, fail over, and ask for passwords."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from meristem.supervision.ports import free_port

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class Server:
    """A server of the test's own, in a folder; `options` are settings like `ssl=on`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.data = folder / "data"
        usual = ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off")
        self._options = " ".join([f"-p {self.port}", *(f"-c {each}" for each in (*usual, *options))])

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
        """Run statements, each committed by itself; the rows of the last one. It asks nobody here for a password."""
        place = f"host={self.folder} port={self.port} user=postgres dbname=postgres"
        with psycopg.connect(place, autocommit=True) as connection:
            for each in statements[:-1]:
                connection.execute(each)
            found = connection.execute(statements[-1])
            return found.fetchall() if found.description is not None else []

    def write(self, name: str, text: str | bytes) -> None:
        """A file among its data, which it alone reads."""
        file = self.data / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(file, "postgres")

    def control(self, *verb: str) -> None:
        options = ["-o", self._options, "-l", self.data.parent / "log"] if verb[0] in ("start", "restart") else []
        self.run("pg_ctl", "-D", self.data, "-w", *options, *verb)


@contextmanager
def servers_of_its_own(*names: str, options: tuple[str, ...] = ()) -> Iterator[list[Server]]:
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
            made.append(Server(place / name, *options))
        try:
            yield made
        finally:
            for each in reversed(made):  # a primary after its standbys
                try:
                    each.control("stop", "-m", "immediate")
                except subprocess.CalledProcessError:
                    continue  # it doesn't run
