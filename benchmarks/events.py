"""What an event costs: added to the transaction that publishes it, and from commit to a handler's own commit.

    python benchmarks/events.py [--quick] [--json]

Every commit is synced to the disk. The end-to-end figure counts events that were published, delivered by the direct
bus, handled once in another database, and removed from the outbox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, insert

from meristem.clock import SystemClock
from meristem.contracts.message import Event
from meristem.events.direct import DirectBus
from meristem.events.inbox import Inbox
from meristem.events.outbox import Outbox
from meristem.events.relay import Relay
from meristem.events.tables import SCHEMA
from meristem.storage.database import Database, database_for
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import SCHEMA as LEASE

METADATA = MetaData()
ENTRIES = Table("entries", METADATA, Column("id", Integer, primary_key=True), Column("guest", String(20)))
ADD = insert(ENTRIES).values(guest=bindparam("name"))


class Booked(Event, package="bench.v1", key="guest"):
    guest: str
    nights: int
    hotel: str = "Hotel zur Post"


class Replica:
    """What delivers the events of one database, beside others or alone."""

    def __init__(self, database: Database, bus: DirectBus, number: int) -> None:
        clock = SystemClock()
        self.database = database
        self.lease = Lease(database, f"bench-{number}")
        self.outbox = Outbox(database, "//bench/publisher", bus.destinations, clock, lease=self.lease)
        self.relay = Relay(self.outbox, bus, clock)

    async def start(self) -> None:
        """Join the others; the relay is started by itself."""
        await self.lease.start()
        await self.outbox.start()

    async def stop(self) -> None:
        await self.relay.drain()
        for component in (self.relay, self.outbox, self.lease):
            await component.stop()


class Bench:
    """A publisher and `subscribers` services that write one row for each event."""

    def __init__(self, folder: Path, subscribers: int) -> None:
        clock, bus = SystemClock(), DirectBus()
        self.url = f"sqlite:///{folder}/publisher.db"
        self.publisher = database_for(self.url, name="publisher")
        self.databases = [database_for(f"sqlite:///{folder}/{each}.db", name=f"s{each}") for each in range(subscribers)]
        self.inboxes = [
            Inbox(database.name, database, {Booked: self._handler(database)}, clock) for database in self.databases
        ]
        self.handled = 0
        self.expected: dict[str, asyncio.Event] = {}  # by the guest of an event that somebody waits for
        self.progress = asyncio.Event()
        self.replicas = [Replica(self.publisher, bus, 0)]
        self.relay = self.replicas[0].relay
        self._bus = bus
        for inbox in self.inboxes:
            bus.subscribe(inbox.service, inbox.policies, inbox.receive)

    def _handler(self, database: Database) -> Callable[[Booked], Awaitable[None]]:
        async def handle(event: Booked) -> None:
            async with database.begin() as tx:
                await tx.execute(ADD, {"name": event.guest})
            self.handled += 1
            self.progress.set()
            if event.guest in self.expected:
                self.expected[event.guest].set()

        return handle

    async def start(self) -> None:
        await self.open()
        await self.replicas[0].relay.start()

    async def join(self) -> None:
        """Have one more replica of the publisher deliver, with a connection of its own."""
        replica = Replica(database_for(self.url, name="publisher"), self._bus, len(self.replicas))
        self.replicas.append(replica)
        await replica.database.start()
        await replica.start()
        await replica.relay.start()

    async def open(self) -> None:
        """All but the relay: what is published stays in the outbox."""
        for database in (self.publisher, *self.databases):
            await database.start()
            await database.upgrade([LEASE, SCHEMA])
            await database.create(METADATA)
        for inbox in self.inboxes:
            await inbox.start()
        await self.replicas[0].start()

    async def wait_for(self, handled: int) -> None:
        """Wait until so many events have been handled."""
        while self.handled < handled:
            self.progress.clear()
            await self.progress.wait()

    async def stop(self) -> None:
        for replica in reversed(self.replicas):
            await replica.stop()
        for component in (*self.inboxes, *self.databases, *(each.database for each in reversed(self.replicas))):
            await component.stop()

    async def run(self, count: int, in_flight: int, *, with_event: bool) -> tuple[float, float]:
        """Seconds for all transactions, and until all their events were handled."""
        numbers = iter(range(count))

        async def book() -> None:
            for number in numbers:
                async with self.publisher.begin() as tx:
                    await tx.execute(ADD, {"name": f"guest {number % 100}"})
                    if with_event:
                        await tx.publish(Booked(guest=f"guest {number % 100}", nights=2))

        started = time.perf_counter()
        await asyncio.gather(*(book() for _ in range(in_flight)))
        committed = time.perf_counter()
        await self.relay.settle()
        return committed - started, time.perf_counter() - started


async def measure(subscribers: int, in_flight: int, count: int, rounds: int) -> dict[str, float]:
    """Medians over the rounds, plain transactions and publishing ones in turn."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), subscribers)
        await bench.start()
        await bench.run(count // 4, in_flight, with_event=True)
        plain, publishing, handled = [], [], []
        for _ in range(rounds):
            plain.append((await bench.run(count, in_flight, with_event=False))[0])
            seconds, until_handled = await bench.run(count, in_flight, with_event=True)
            publishing.append(seconds)
            handled.append(until_handled)
        await bench.stop()
    return {
        "subscribers": subscribers,
        "in_flight": in_flight,
        "plain_tx_per_s": round(count / statistics.median(plain)),
        "publishing_tx_per_s": round(count / statistics.median(publishing)),
        "handled_events_per_s": round(count * max(subscribers, 1) / statistics.median(handled)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events and rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    count, rounds = (500, 1) if options.quick else (4000, 5)
    found = [
        uvloop.run(measure(subscribers, in_flight, count, rounds)) for subscribers in (0, 1, 3) for in_flight in (1, 16)
    ]
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for each in found:
        print("  ".join(f"{name}={value}" for name, value in each.items()))


if __name__ == "__main__":
    main()
