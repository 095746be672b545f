"""How many replicas of a consumer drain a backlog of events together, over each bus, on SQLite and on PostgreSQL.

    python -m benchmarks.consumers [--bus nats ...] [--database sqlite ...] [--replicas 32] [--events 1000000]

The events wait before the first replica starts: on the broker, and with the direct bus in the publisher's outbox. Every
replica is a process of its own, all on one database, each commit synced; the PostgreSQL server is the benchmark's own.
It tells how many events were handled a second, from when all replicas are ready to the last event, how many replicas
had a part in it and how large the largest was, and how many events were handled twice or not at all, which must be
none. What was handled while some still started counts for neither.

The whole of it takes hours: `--events 20000 --replicas 4` shows in minutes what it does. Kafka is no broker here but
librdkafka's mock of one, which keeps five megabytes of a partition: no more than 100,000 events go over it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, insert, select

from benchmarks.brokers import BUSES, DATABASES, Booked, address_of
from benchmarks.postgresql_server import make_schemas, no_server, own_server
from benchmarks.processes import python, started
from meristem import Database, Service, System, on
from meristem.context import Context
from meristem.contracts.call import connected
from meristem.events.adapters import bus_for
from meristem.events.bus import BROKER
from meristem.events.envelope import Envelope, enclose
from meristem.events.policy import DEFAULT
from meristem.lifecycle import Stack
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.storage.database import database_for
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, Placement
from meristem.system.placement_tables import Resources

AT_ONCE: Final = 200  # events of one transaction, or on their way to a broker at one time
LOOK: Final = 1.0  # seconds between two looks at how many are handled
SYSTEM: Final = "bench"

entries = MetaData()
ENTRIES = Table("entries", entries, Column("number", Integer, index=True), Column("replica", Integer))
ENTER = insert(ENTRIES).values(number=bindparam("one"), replica=bindparam("by"))
HANDLED = select(func.count()).select_from(ENTRIES)
BOTH = select(func.count().label("handled"), func.count(ENTRIES.c.number.distinct()).label("apart"))
SHARES = select(func.count()).select_from(ENTRIES).group_by(ENTRIES.c.replica)


class Till(Service):
    """Owes the events, where no broker has them."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Ledger(Service, tables=entries):
    replica = 0

    def __init__(self, database: Database) -> None:
        self.database = database

    @on(Booked)
    async def enter(self, event: Booked) -> None:
        await self.database.execute(ENTER, {"one": event.nights, "by": Ledger.replica})


class Drained(NamedTuple):
    """What came of a backlog: `per_second` counts from when all replicas were ready, `largest` is a share of all."""

    per_second: float
    seconds: float
    replicas: int
    largest: float
    twice: int
    missing: int


@asynccontextmanager
async def running(bus: str, database: str, replica: int, *, works: bool = True) -> AsyncIterator[Assembly]:
    """One replica of the consumer; over the direct bus it holds the publisher as well."""
    services = [Till, Ledger] if bus == "direct" else [Ledger]
    Ledger.replica = replica
    blueprint = Blueprint(System(SYSTEM, services=services), Placement(resources=Resources(bus=bus)))
    assembly = Assembly(blueprint, ALONE, Options(database=database, replica=replica))
    async with Stack() as stack:
        await stack.start(assembly)
        if works:
            await assembly.activate()
        with connected(assembly):
            yield assembly
        await stack.drain()


def booked(number: int, keys: int) -> Booked:
    return Booked(guest=f"guest {number % keys}", nights=number)


async def fill(bus: str, database: str, events: int, keys: int) -> None:
    """Have so many events wait."""
    if bus == "direct":
        async with running(bus, database, 0, works=False) as assembly:
            till = assembly.databases["till"]
            for first in range(0, events, AT_ONCE):
                async with till.begin() as tx:
                    for number in range(first, min(first + AT_ONCE, events)):
                        await tx.publish(booked(number, keys))
        return
    async with running(bus, database, 0):  # the service is known there, and begins with what comes now
        pass
    over, clock = bus_for(bus, system=SYSTEM), Options().clock
    over.forward("ledger", {Booked.event_type: DEFAULT}, _refuse)
    await over.start()
    for first in range(0, events, AT_ONCE):
        some = range(first, min(first + AT_ONCE, events))
        made = [enclose(booked(number, keys), f"//{SYSTEM}/till", clock.now(), Context()) for number in some]
        await asyncio.gather(*(over.publish(each, f"{BROKER}any") for each in made))
    await over.stop()


async def _refuse(envelope: Envelope, *, is_new: bool = False) -> None:  # noqa: ARG001 - of `Receive`
    raise AssertionError("what fills a broker hears nothing")


async def drained(database: str, events: int, seconds: float) -> Drained:
    """Wait until all are handled, or the time is over."""
    ledger = database_for(database.replace("{service}", "ledger"), name="ledger")
    await ledger.start()
    try:
        began, before = time.perf_counter(), int(await ledger.fetch_value(HANDLED))
        handled = before
        while handled < events and time.perf_counter() - began < seconds:
            await asyncio.sleep(LOOK)
            handled = int(await ledger.fetch_value(HANDLED))
        took = time.perf_counter() - began
        [both] = await ledger.fetch_all(BOTH)  # at one time, since some may still come
        handled, distinct = int(both["handled"]), int(both["apart"])
        shares = [int(each) for each in await ledger.fetch_all(SHARES, into=int)]
        largest = max(shares, default=0) / max(handled, 1)
        return Drained((handled - before) / took, took, len(shares), largest, handled - distinct, events - distinct)
    finally:
        await ledger.stop()


def measured(bus: str, database: str, given: argparse.Namespace) -> Drained:
    """Fill, start the replicas, and see."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        if database == "sqlite":
            url = f"sqlite:///{folder}/{{service}}.db"
        else:
            server = stack.enter_context(own_server(fsync=True, connections=12 * given.replicas + 100))
            asyncio.run(make_schemas(server, "till", "ledger"))
            url = f"{server}/postgres?schema={{service}}&pool=8&server_pool=10"
        uvloop.run(fill(bus, url, given.events, given.keys))
        replicas = [
            started(python("benchmarks.consumers", "--replica", str(number), bus, url), folder=folder, seconds=300.0)
            for number in range(given.replicas)
        ]
        with ThreadPoolExecutor(given.replicas) as threads:  # side by side, as an orchestrator starts them
            list(threads.map(stack.enter_context, replicas))
        return uvloop.run(drained(url, given.events, given.seconds))


async def consume(number: int, bus: str, database: str) -> None:
    """Be one replica until somebody ends it."""
    async with running(bus, database, number):
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bus", nargs="+", default=BUSES[:-1], choices=BUSES)
    parser.add_argument("--database", nargs="+", default=DATABASES, choices=DATABASES)
    parser.add_argument("--replicas", type=int, default=32)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600.0, help="After these a drain is cut off.")
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    parser.add_argument("--replica", nargs=3, metavar=("NUMBER", "BUS", "DATABASE"), help="Be one replica.")
    given = parser.parse_args()
    if given.replica is not None:
        number, bus, database = given.replica
        uvloop.run(consume(int(number), bus, database))
        return
    if "postgresql" in given.database and (why := no_server()) is not None:
        parser.error(why)
    found: dict[str, Drained] = {}
    for database in given.database:
        for bus in given.bus:
            with address_of(bus) as url:
                found[f"{bus}, {database}"] = one = measured(url, database, given)
            if not given.json:
                print(
                    f"{bus}, {database}: {one.per_second:.0f} events a second for {one.seconds:.0f} s, by "
                    f"{one.replicas} of {given.replicas} replicas, the largest share {one.largest:.0%}, "
                    f"{one.twice} handled twice, {one.missing} missing",
                    flush=True,
                )
    if given.json:
        print(json.dumps({name: one._asdict() for name, one in found.items()}))


if __name__ == "__main__":
    main()
