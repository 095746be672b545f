"""Transactions and reads per second on SQLite, beside SQLAlchemy Core over aiosqlite with the same durability.

    python benchmarks/storage.py [--quick] [--json]

A transaction is an insert, an update and one event row, committed together; every commit is synced to the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import uvloop
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Uuid, bindparam, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from meristem.storage.database import database_for
from meristem.storage.unit import UnitOfWork

METADATA = MetaData()
BOOKINGS = Table(
    "bookings",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("guest", String(100), nullable=False),
    Column("nights", Integer, nullable=False),
)
ROOMS = Table("rooms", METADATA, Column("id", Integer, primary_key=True), Column("taken", Integer, nullable=False))
OUTBOX = Table(
    "outbox", METADATA, Column("id", Integer, primary_key=True), Column("type", String), Column("body", LargeBinary)
)

ADD_BOOKING = insert(BOOKINGS)
TAKE_ROOM = update(ROOMS).where(ROOMS.c.id == bindparam("room")).values(taken=ROOMS.c.taken + 1)
ADD_EVENT = insert(OUTBOX)
BY_ID = select(BOOKINGS).where(BOOKINGS.c.id == bindparam("key"))
KEYS = [uuid4() for _ in range(1000)]
ROOM_COUNT = 100


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    guest: str
    nights: int


class RoomTaken(msgspec.Struct, frozen=True, kw_only=True):
    booking: UUID
    room: int


class Ours:
    """The bench's work on a Meristem database."""

    name = "meristem"

    def __init__(self, folder: Path) -> None:
        self.database = database_for(f"sqlite:///{folder}/ours.db", name="bench")
        self.database.before_commit.append(self._outbox)

    async def start(self) -> None:
        await self.database.start()
        await self.database.create(METADATA)
        async with self.database.begin() as tx:
            await tx.execute(insert(ROOMS), [{"id": room, "taken": 0} for room in range(ROOM_COUNT)])
            await tx.execute(ADD_BOOKING, [{"id": key, "guest": "Ada", "nights": 2} for key in KEYS])

    async def stop(self) -> None:
        await self.database.stop()

    async def transact(self, turn: int) -> None:
        async with self.database.begin() as tx:
            booking = uuid4()
            await tx.execute(ADD_BOOKING, {"id": booking, "guest": "Grace", "nights": 3})
            await tx.execute(TAKE_ROOM, {"room": turn % ROOM_COUNT})
            await tx.publish(RoomTaken(booking=booking, room=turn % ROOM_COUNT))

    async def read(self, turn: int) -> None:
        found = await self.database.fetch_one(BY_ID, {"key": KEYS[turn % len(KEYS)]}, into=Booking)
        assert found is not None

    async def _outbox(self, unit: UnitOfWork) -> None:
        rows = [{"type": type(event).__name__, "body": msgspec.json.encode(event)} for event in unit.published]
        unit.at_commit(ADD_EVENT, rows[0] if len(rows) == 1 else rows)


class Peer:
    """The same work on SQLAlchemy Core over aiosqlite, as its documentation shows it."""

    name = "sqlalchemy + aiosqlite"

    def __init__(self, folder: Path) -> None:
        self.engine: AsyncEngine = create_async_engine(
            make_url(f"sqlite+aiosqlite:///{folder}/peer.db"), pool_size=5, max_overflow=0, connect_args={"timeout": 60}
        )
        listen(self.engine.sync_engine, "connect", _pragmas)

    async def start(self) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            await connection.execute(insert(ROOMS), [{"id": room, "taken": 0} for room in range(ROOM_COUNT)])
            await connection.execute(ADD_BOOKING, [{"id": key, "guest": "Ada", "nights": 2} for key in KEYS])

    async def stop(self) -> None:
        await self.engine.dispose()

    async def transact(self, turn: int) -> None:
        async with self.engine.begin() as connection:
            booking = uuid4()
            await connection.execute(ADD_BOOKING, {"id": booking, "guest": "Grace", "nights": 3})
            await connection.execute(TAKE_ROOM, {"room": turn % ROOM_COUNT})
            event = RoomTaken(booking=booking, room=turn % ROOM_COUNT)
            await connection.execute(ADD_EVENT, {"type": type(event).__name__, "body": msgspec.json.encode(event)})

    async def read(self, turn: int) -> None:
        async with self.engine.connect() as connection:
            row = (await connection.execute(BY_ID, {"key": KEYS[turn % len(KEYS)]})).one()
            Booking(id=row.id, guest=row.guest, nights=row.nights)


def _pragmas(connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


async def stalls(gaps: list[float]) -> None:
    """Record how late each tick of the event loop came."""
    while True:
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - due)


async def rate(work: Callable[[int], Awaitable[None]], in_flight: int, seconds: float, gaps: list[float]) -> float:
    """Operations a second with so many in flight; the loop's lateness is added to `gaps`."""
    done = 0
    end = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await work(done)
            done += 1

    ticker = asyncio.create_task(stalls(gaps))
    started = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(in_flight)])
    elapsed = time.perf_counter() - started
    ticker.cancel()
    return done / elapsed


async def idle(seconds: float, gaps: list[float]) -> None:
    """How late the event loop is with nothing to do: what the machine itself adds."""
    ticker = asyncio.create_task(stalls(gaps))
    await asyncio.sleep(seconds)
    ticker.cancel()


async def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """All rounds, the sides in turn."""
    figures: dict[str, dict[str, list[float]]] = {}
    gaps: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        sides = [Ours(Path(folder)), Peer(Path(folder))]
        for side in sides:
            await side.start()
        for _ in range(rounds):
            await idle(seconds, gaps.setdefault("idle", []))
            for work in ("transact", "read"):
                for in_flight in (1, 16):
                    for side in sides:
                        gc.collect()
                        speed = await rate(getattr(side, work), in_flight, seconds, gaps.setdefault(side.name, []))
                        figures.setdefault(f"{work} x{in_flight}", {}).setdefault(side.name, []).append(speed)
        for side in sides:
            await side.stop()
    return report(figures, gaps)


def report(figures: dict[str, dict[str, list[float]]], gaps: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, ratios and the event loop's stalls."""
    rows = {}
    for work, sides in figures.items():
        medians = {side: statistics.median(speeds) for side, speeds in sides.items()}
        rows[work] = {**medians, "ratio": medians[Ours.name] / medians[Peer.name]}
    late = {
        side: {"p99.9_ms": statistics.quantiles(found, n=1000)[-1] * 1000, "max_ms": max(found) * 1000}
        for side, found in gaps.items()
    }
    return {"per_second": rows, "loop_stalls": late}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run, print and return the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="one short round")
    options = parser.parse_args(argv)
    rounds, seconds = (1, 0.5) if options.quick else (5, 2.0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(measure(rounds, seconds))
    if options.json:
        print(json.dumps(result, indent=2))
        return result
    for work, row in result["per_second"].items():
        print(f"{work:14} " + "   ".join(f"{name} {value:10,.1f}" for name, value in row.items()))
    for side, late in result["loop_stalls"].items():
        print(f"event loop late, {side}: p99.9 {late['p99.9_ms']:.2f} ms, max {late['max_ms']:.2f} ms")
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
