"""Durable work of three steps on a SQLite file, per second: a saga of ours, in turn with a workflow of DBOS.

    python -m benchmarks.steps [--json]

A step adds one to a number, so what is measured is the journal. The caller has its answer when the work is done and
written; both files are in WAL mode and synced at every commit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import uvloop

from benchmarks.alone import alone
from benchmarks.figures import Spread, spreads
from benchmarks.load import keep_in_flight
from benchmarks.machine import SERVER
from benchmarks.peers import setup
from benchmarks.processes import answer_of, python
from meristem import Contract, Database, Flow, Service, System, once, saga

IN_FLIGHT = 16
OURS, PEER = "saga of three steps", "DBOS, workflow of three steps"


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
    """Work finished per second, and the peer's reason to be missing."""

    figures: dict[str, Spread]
    skipped: dict[str, str]


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> Results:
    """Ours and the peer's in turn, each in a process and with a file of its own."""
    absent = setup.no_peer("dbos")
    found: list[dict[str, float]] = []
    for number in range(rounds):
        say(f"durable steps, round {number + 1} of {rounds}")
        figures = {OURS: _per_second("benchmarks.steps", seconds)}
        if absent is None:
            figures[PEER] = _per_second("benchmarks.peers.dbos_steps", seconds, executable=setup.PYTHON)
        found.append(figures)
    return Results(spreads(found), {} if absent is None else {PEER: absent})


def _per_second(module: str, seconds: float, **options: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = python(module, "--seconds", str(seconds), **options)
        return float(json.loads(answer_of(command, core=SERVER, folder=Path(folder))))


async def per_second(seconds: float) -> float:
    """Sagas of ours that end per second, in this process, on a file in the current folder."""
    system = System("steps", services=[WorkService])
    async with alone(system, database=f"sqlite:///{Path.cwd()}/{{service}}.db") as app:
        client = app.client(Work)
        await client.work(0)
        count, took = await keep_in_flight(lambda: client.work(0), IN_FLIGHT, seconds)
    return count / took


def main() -> None:
    """Measure ours alone; `run` sets the peer beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    print(json.dumps(uvloop.run(per_second(parser.parse_args().seconds))))


if __name__ == "__main__":
    main()
