"""Transactions and reads on PostgreSQL, beside SQLAlchemy Core over asyncpg, on one server without syncs.

    python -m benchmarks.postgresql [--quick] [--json] [--server postgresql://postgres@127.0.0.1:5432]

A transaction is an insert, an update and one event row, committed together. Without `--server`, one of its own is
started from Debian's package, with fsync off: what is compared is the way there and back, and the client's processor
time. Both sides have ten connections.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks import storage
from benchmarks.machine import free_port
from meristem.storage.database import database_for

CONNECTIONS = 10
BINARIES = Path("/usr/lib/postgresql/15/bin")
PEER = "sqlalchemy + asyncpg"


class Ours(storage.Ours):
    """The bench's work on a Meristem database."""

    def __init__(self, server: str) -> None:
        options = f"?schema=bench_ours&pool={CONNECTIONS + 1}&server_pool={CONNECTIONS + 1}"
        self.database = database_for(f"{server}/postgres{options}", name="bench")
        self.database.before_commit.append(self._outbox)


class Peer(storage.Peer):
    """The same work on SQLAlchemy Core over asyncpg, as its documentation shows it."""

    name = PEER

    def __init__(self, server: str) -> None:
        self.engine = create_async_engine(
            f"{server.replace('postgresql:', 'postgresql+asyncpg:')}/postgres",
            pool_size=CONNECTIONS,
            max_overflow=0,
            connect_args={"server_settings": {"search_path": "bench_peer"}},
        )


@contextmanager
def own_server() -> Iterator[str]:
    """A server for the benchmark alone, on a free port, without syncs."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="meristem-postgresql-", dir="/tmp"))
    if as_user:
        shutil.chown(folder, "postgres")
    port, data = free_port(), folder / "data"
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"

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


async def measure(server: str, rounds: int, seconds: float) -> dict[str, Any]:
    """All rounds, the sides in turn: operations a second, and the client's processor time for each."""
    speeds: dict[str, dict[str, list[float]]] = {}
    costs: dict[str, dict[str, list[float]]] = {}
    await _prepare(server)
    sides = [Ours(server), Peer(server)]
    for side in sides:
        await side.start()
    for _ in range(rounds):
        for work in ("transact", "read"):
            for in_flight in (1, 16):
                for side in sides:
                    gc.collect()
                    began = time.process_time()
                    speed = await storage.rate(getattr(side, work), in_flight, seconds, [])
                    cost = (time.process_time() - began) / (speed * seconds) * 1e6
                    name = f"{work} x{in_flight}"
                    speeds.setdefault(name, {}).setdefault(side.name, []).append(speed)
                    costs.setdefault(name, {}).setdefault(side.name, []).append(cost)
    for side in sides:
        await side.stop()
    await _prepare(server, makes=False)
    return {"per_second": _ratios(speeds), "client_microseconds": _ratios(costs)}


async def _prepare(server: str, *, makes: bool = True) -> None:
    connection = await asyncpg.connect(f"{server}/postgres")
    for schema in ("bench_ours", "bench_peer"):
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE" + (f"; CREATE SCHEMA {schema}" * makes))
    await connection.close()


def _ratios(figures: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    rows = {}
    for work, sides in figures.items():
        medians = {side: statistics.median(found) for side, found in sides.items()}
        rows[work] = {**medians, "ratio": medians[Ours.name] / medians[PEER]}
    return rows


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run, print and return the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--server", help="a server that runs already; its syncs are its own affair")
    options = parser.parse_args(argv)
    rounds, seconds = (1, 1.0) if options.quick else (5, 2.0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.server:
            result = runner.run(measure(options.server, rounds, seconds))
        else:
            with own_server() as server:
                result = runner.run(measure(server, rounds, seconds))
    if options.json:
        print(json.dumps(result, indent=2))
        return result
    for kind, rows in result.items():
        for work, row in rows.items():
            print(f"{kind:20} {work:12} " + "   ".join(f"{name} {value:9,.2f}" for name, value in row.items()))
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
