"""How long the work of a replica lies still after it was killed, or stopped as one that hangs, until another goes on.

Two replicas of one service work on sagas whose middle step takes a second; when all are in it, the replica that has
more of them is struck. The time runs from the blow to the end of the last saga, less that second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from benchmarks.figures import Spread, spreads
from meristem import Contract, Database, Flow, Service, System, once, saga
from meristem.system.placement import Placement
from meristem.system.placement_tables import ProcessTable, Resources
from meristem.testing import running

METADATA = MetaData()
SEEN = Table(
    "seen",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("step", String(10), nullable=False),
    Column("pid", Integer, nullable=False),
)
SAGAS = 40
STEP, LOOK, PATIENCE = 1.0, 0.02, 60.0  # seconds
KILLED, HUNG = "killed", "hung"
BLOWS = {KILLED: signal.SIGKILL, HUNG: signal.SIGSTOP}


class Work(Contract, Protocol, package="bench.takeover.v1"):
    @once(timeout=120.0)
    async def work(self) -> None: ...


class WorkService(Work, Service, tables=METADATA):
    def __init__(self, database: Database) -> None:
        self.database = database

    @saga
    async def work(self, flow: Flow) -> None:
        await flow.step(self.note, "begun")
        await flow.step(self.linger)
        await flow.step(self.note, "ended")

    async def note(self, step: str) -> None:
        await self.database.execute(insert(SEEN), {"step": step, "pid": os.getpid()})

    async def linger(self) -> None:
        await asyncio.sleep(STEP)


system = System("takeover", services=[WorkService])


async def seen(file: Path, step: str, count: int) -> None:
    """Wait until so many sagas have come so far, by what stands in the file."""
    latest = time.monotonic() + PATIENCE
    with closing(sqlite3.connect(file)) as connection:
        while connection.execute("SELECT count(*) FROM seen WHERE step = ?", (step,)).fetchone()[0] < count:
            if time.monotonic() > latest:
                raise TimeoutError(f"not all of {count} sagas have {step}")
            await asyncio.sleep(LOOK)


def busiest(file: Path) -> int:
    """The process that has begun most of the sagas."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT pid FROM seen GROUP BY pid ORDER BY count(*) DESC LIMIT 1").fetchone()
    return int(found[0])


async def seconds(blow: signal.Signals) -> float:
    """From the blow to the end of the last saga, less the step that is done again."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        placement = Placement(
            processes={"work": ProcessTable(services=("work",), replicas=2)},
            resources=Resources(database=f"sqlite:///{folder}/{{service}}.db"),
        )
        async with running("benchmarks.takeover:system", where="processes", placement=placement) as app:
            client, file = app.client(Work), Path(folder, "work.db")
            await client.work()
            calls = [asyncio.create_task(client.work()) for _ in range(SAGAS)]
            await seen(file, "begun", SAGAS + 1)
            victim, began = busiest(file), time.monotonic()
            os.kill(victim, blow)
            try:
                await seen(file, "ended", SAGAS + 1)
                return time.monotonic() - began - STEP
            finally:
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)


def run(rounds: int, say: Callable[[str], None]) -> dict[str, Spread]:
    """Both blows in turn."""
    found = []
    for number in range(rounds):
        say(f"takeover, round {number + 1} of {rounds}")
        found.append({name: asyncio.run(seconds(blow)) for name, blow in BLOWS.items()})
    return spreads(found)


if __name__ == "__main__":
    sys.exit("run `python -m benchmarks.run --only takeover`")
