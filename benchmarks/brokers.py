"""An event's way over each bus, from the commit that publishes it to its handler's own commit, beside FastStream.

    python -m benchmarks.brokers [--bus nats ...] [--database sqlite ...] [--rounds N] [--events N]

Ours is a system of two services with a database each, outbox and inbox as always. The peer is FastStream with publisher
confirms on the same broker, and beside it an outbox written by hand: a row in the transaction, a task that publishes
rows in batches side by side and deletes them. It keeps no order and knows no repeated event. Both are one process, with
16 transactions in flight, on SQLite in WAL mode or on a PostgreSQL server of the benchmark's own, synced at every
commit. The direct bus needs no broker, and Kafka is librdkafka's mock of one: ours stands alone there.

Many replicas of a consumer, and a backlog: `python -m benchmarks.consumers`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import aio_pika
import nats
import uvloop
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, insert

from benchmarks.alone import alone
from benchmarks.figures import Spread, spreads
from benchmarks.machine import SERVER
from benchmarks.peers import setup
from benchmarks.postgresql_server import make_schemas, no_server, own_server
from benchmarks.processes import Failed, output_of, python
from meristem import Contract, Database, Event, Service, System, idempotent, on
from tests.suites.kafka import mock_cluster

BROKERS: Final = {"nats": "nats://127.0.0.1:4222", "rabbitmq": "amqp://guest:guest@127.0.0.1:5672/"}
BUSES: Final = ("direct", *BROKERS, "kafka")
DATABASES: Final = ("sqlite", "postgresql")
OWNERS: Final = ("bookings", "ledger")  # who has a database
IN_FLIGHT: Final = 16
PEER: Final = "FastStream with an outbox"


class Booked(Event, package="bench.bookings.v1", key="guest"):
    guest: str
    nights: int


class Bookings(Contract, Protocol, package="bench.bookings.v1"):
    @idempotent
    async def book(self, guest: str) -> None: ...


bookings, entries = MetaData(), MetaData()
BOOKINGS = Table("bookings", bookings, Column("id", Integer, primary_key=True), Column("guest", String(20)))
ENTRIES = Table("entries", entries, Column("id", Integer, primary_key=True), Column("guest", String(20)))
BOOK, ENTER = (insert(table).values(guest=bindparam("name")) for table in (BOOKINGS, ENTRIES))


class BookingsService(Bookings, Service, tables=bookings):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def book(self, guest: str) -> None:
        async with self.database.begin() as tx:
            await tx.execute(BOOK, {"name": guest})
            await tx.publish(Booked(guest=guest, nights=2))


class Ledger(Service, tables=entries):
    handled = 0
    progress = asyncio.Event()

    def __init__(self, database: Database) -> None:
        self.database = database

    @on(Booked)
    async def enter(self, event: Booked) -> None:
        await self.database.execute(ENTER, {"name": event.guest})
        Ledger.handled += 1
        Ledger.progress.set()


async def ours(bus: str, server: str, events: int) -> dict[str, float]:
    """Events per second from commit to handler, and the process's CPU for each."""
    system = System("bench", services=[BookingsService, Ledger])
    here = f"sqlite:///{Path.cwd()}/{{service}}.db"
    url = f"{server}/postgres?schema={Path.cwd().name}_{{service}}" if server.startswith("postgresql") else here
    async with alone(system, database=url, bus=bus) as app:
        client = app.client(Bookings)

        async def work(count: int) -> None:
            until, numbers = Ledger.handled + count, iter(range(count))

            async def book() -> None:
                for number in numbers:
                    await client.book(f"guest {number % 1000}")

            await asyncio.gather(*(book() for _ in range(IN_FLIGHT)))
            while Ledger.handled < until:
                Ledger.progress.clear()
                await Ledger.progress.wait()

        await work(events // 4)
        cpu, began = time.process_time(), time.perf_counter()
        await work(events)
        took = time.perf_counter() - began
        return {"per_second": events / took, "cpu_us": (time.process_time() - cpu) / events * 1e6}


def run(given: argparse.Namespace, say: Callable[[str], None]) -> dict[str, dict[str, Spread]]:
    """Ours and the peer's in turn, over each bus and on each database."""
    if (why := setup.no_peer("faststream.rabbit")) is not None:
        say(f"FastStream is skipped: {why}")
    found: dict[str, dict[str, Spread]] = {}
    with ExitStack() as stack:
        if "postgresql" in given.database and (missing := no_server()) is not None:
            raise Failed(missing)
        servers = {name: name if name == "sqlite" else stack.enter_context(own_server(fsync=True))
                   for name in given.database}  # fmt: skip
        for database, server in servers.items():
            for bus in given.bus:
                turns: list[dict[str, float]] = []
                for number in range(given.rounds):
                    say(f"{bus}, {database}, round {number + 1} of {given.rounds}")
                    turn = _measured("ours", bus, server, "benchmarks.brokers", given.events)
                    if why is None and bus in BROKERS:
                        peer = "benchmarks.peers.faststream_outbox"
                        turn |= _measured(PEER, bus, server, peer, given.events, executable=setup.PYTHON)
                    turns.append(turn)
                found[f"{bus}, {database}"] = spreads(turns)
    return found


def _measured(
    who: str, bus: str, server: str, module: str, events: int, executable: Path = Path(sys.executable)
) -> dict[str, float]:
    with address_of(bus) as url, tempfile.TemporaryDirectory(prefix="bench") as folder:
        if server.startswith("postgresql"):
            schemas = (f"{Path(folder).name}_{whose}" for whose in OWNERS)
            asyncio.run(make_schemas(server, *schemas))
        command = python(module, url, server, str(events), executable=executable)
        said: dict[str, float] = json.loads(output_of(command, core=SERVER, folder=Path(folder)))
    return {f"{who}, {name}": figure for name, figure in said.items()}


@contextmanager
def address_of(bus: str) -> Iterator[str]:
    """The URL of a bus on which nothing has happened yet; what is made there is gone afterwards."""
    if bus == "direct":
        yield bus
    elif bus == "kafka":
        with mock_cluster() as cluster:
            yield f"kafka://{cluster.servers}"
    else:
        prefix = f"bench{uuid4().hex[:12]}"
        try:
            yield f"{BROKERS[bus]}?prefix={prefix}"
        finally:
            asyncio.run(_clear(BROKERS[bus], prefix))


async def _clear(bus: str, prefix: str) -> None:
    """Delete what was made on the broker."""
    if bus.startswith("nats"):
        client = await nats.connect(bus)
        for made in await client.jetstream().streams_info():
            if prefix in made.config.name:
                await client.jetstream().delete_stream(made.config.name)
        await client.close()
        return
    async with await aio_pika.connect(bus) as connection:
        channel = await connection.channel()
        for queue in (f"{prefix}.bench.ledger", f"{prefix}.ledger"):
            await channel.queue_delete(queue)
        await channel.exchange_delete(prefix)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bus", nargs="+", default=BUSES, choices=BUSES)
    parser.add_argument("--database", nargs="+", default=DATABASES, choices=DATABASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("alone", nargs="*", help="BUS DATABASE EVENTS: measure ours alone, in the current folder")
    given = parser.parse_args()
    if given.alone:
        bus, server, events = given.alone
        print(json.dumps(uvloop.run(ours(bus, server, int(events)))))
        return
    for name, figures in run(given, lambda text: print(text, file=sys.stderr, flush=True)).items():
        print(name)
        for what, spread in figures.items():
            print(f"  {what:<42} {spread.median:8.0f} ({spread.low:.0f} to {spread.high:.0f})")


if __name__ == "__main__":
    main()
