"""A PostgreSQL server for a benchmark alone, with what makes a commit wait for the disk or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from benchmarks.machine import free_port

BINARIES = Path("/usr/lib/postgresql/15/bin")


def no_server() -> str | None:
    """Why there is none on this machine."""
    return None if (BINARIES / "initdb").exists() else f"there is no PostgreSQL in {BINARIES}"


async def make_schemas(server: str, *names: str) -> None:
    """Make schemas in the database `postgres` of a server."""
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        for each in names:
            await connection.execute(f'CREATE SCHEMA "{each}"')
    finally:
        await connection.close()


@contextmanager
def own_server(*, fsync: bool = False, connections: int = 100) -> Iterator[str]:
    """The URL of a server on a free port, with Debian's settings; without `fsync` its commits don't wait for a disk."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="meristem-postgresql-", dir="/tmp"))
    if as_user:
        shutil.chown(folder, "postgres")
    port, data = free_port(), folder / "data"
    settings = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
        f"-c fsync={'on' if fsync else 'off'} -c max_connections={connections}"
    )

    def run(program: str, *arguments: str) -> None:
        subprocess.run([*as_user, BINARIES / program, "-D", data, *arguments], check=True, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        run("pg_ctl", "-o", settings, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "-m", "fast", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
