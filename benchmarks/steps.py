"""Durable work of three steps, per second and by its CPU: a saga of ours, in turn with a workflow of DBOS.

    python -m benchmarks.steps [--database URL] [--seconds S]

A step adds one to a number, so what is measured is the journal. The caller has its answer when the work is done and
written. On SQLite each has a file in WAL mode that is synced at every commit; on PostgreSQL each has a database of one
server, whose commits wait for no disk, and then for one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

import uvloop

from benchmarks.alone import alone
from benchmarks.figures import Spread, spreads
from benchmarks.load import WARM, keep_in_flight
from benchmarks.machine import SERVER
from benchmarks.peers import setup
from benchmarks.postgresql_server import no_server, own_server
from benchmarks.processes import answer_of, python
from meristem import Contract, Database, Flow, Service, System, once, saga

IN_FLIGHT = 16
OURS, PEER = "saga of three steps", "DBOS, workflow of three steps"
SQLITE, POSTGRESQL, SYNCED = "SQLite", "PostgreSQL", "PostgreSQL, synced"
DATABASES = (SQLITE, POSTGRESQL, SYNCED)


class Work(Contract, Protocol, package="bench.steps.v1"):
    @once(timeout=60.0)
    async def work(self, number: int) -> int: ...


class WorkService(Work, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    @saga
    async def work(self, flow: Flow, number: int) -> int:
        first = await flow.step(self.step, number)
        second = await flow.step(self.step, first)
        return await flow.step(self.step, second)

    async def step(self, number: int) -> int:
        return number + 1


class Results(NamedTuple):
    """By database and stack: work finished per second, its CPU microseconds; and the reasons why something is missing.

    The CPU is that of the process that has the engine, not the server's.
    """

    figures: dict[str, dict[str, dict[str, Spread]]]
    skipped: dict[str, str]


def run(rounds: int, seconds: float, say: Callable[[str], None], databases: tuple[str, ...] = DATABASES) -> Results:
    """Ours and the peer's in turn, each in a process and with a database of its own."""
    absent, skipped = setup.no_peer("dbos"), {}
    if absent is not None:
        skipped[PEER] = absent
    if (why := no_server()) is not None and len(databases) > 1:
        databases = (SQLITE,)
        skipped["durable steps on PostgreSQL"] = why
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in databases}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(own_server(fsync=name == SYNCED)) for name in databases if name != SQLITE}
        for number in range(rounds):
            for name in databases:
                say(f"durable steps on {name}, round {number + 1} of {rounds}")
                ours = _measured("benchmarks.steps", seconds, servers.get(name))
                found[name].setdefault(OURS, []).append(ours)
                if absent is None:
                    theirs = _measured(
                        "benchmarks.peers.dbos_steps", seconds, servers.get(name), executable=setup.PYTHON
                    )
                    found[name].setdefault(PEER, []).append(theirs)
    figures = {name: {each: spreads(measured) for each, measured in stacks.items()} for name, stacks in found.items()}
    return Results(figures, skipped)


def _measured(module: str, seconds: float, server: str | None, **options: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        url = ["--database", server] if server else []
        command = python(module, "--seconds", str(seconds), *url, **options)
        return dict(json.loads(answer_of(command, core=SERVER, folder=Path(folder))))


async def measure(seconds: float, server: str | None) -> Mapping[str, float]:
    """Sagas of ours in this process, on a file in the current folder or in a database of a server."""
    system = System("steps", services=[WorkService])
    url = f"{server}/postgres" if server else f"sqlite:///{Path.cwd()}/{{service}}.db"
    async with alone(system, database=url) as app:
        client = app.client(Work)
        await keep_in_flight(lambda: client.work(0), IN_FLIGHT, seconds * WARM)
        cpu = time.process_time()
        count, took = await keep_in_flight(lambda: client.work(0), IN_FLIGHT, seconds)
        return {"per_second": count / took, "cpu_us": (time.process_time() - cpu) / max(count, 1) * 1e6}


def main() -> None:
    """Measure ours alone; `run` sets the peer beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--database", help="a PostgreSQL server's URL, without a database; else a SQLite file")
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.seconds, given.database))))


if __name__ == "__main__":
    main()
