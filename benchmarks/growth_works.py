"""What is measured in a database that has grown: by a running system, and by who looks at it from outside.

    python -m benchmarks.growth_works URL [--operations N] [--keep]

What an event and a saga take is the median of many, one after the other. Of starts and looks, which are few, it is the
quickest: whatever makes one slower is not of the database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

import uvloop
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, func, insert, select

from benchmarks.alone import alone
from benchmarks.machine import memory_mb
from meristem import CallError, Code, Contract, Database, Event, Flow, Service, System, on, once, safe, saga
from meristem.clock import SystemClock
from meristem.events import inbox
from meristem.events.outbox import Outbox
from meristem.events.tables import OUTBOX
from meristem.events.waiting import waiting_in
from meristem.sagas.administration import SagaStore
from meristem.sagas.forgetting import OLD_SAGAS
from meristem.sagas.journal import Journal
from meristem.sagas.records import SagaState
from meristem.sagas.tables import SAGAS
from meristem.services import answers
from meristem.storage.database import database_for
from meristem.storage.lease import Lease
from meristem.storage.sweep import Sweep

OPERATIONS = 60
STARTS, LOOKS = 3, 7
CLOCK = SystemClock()
METADATA = MetaData()
ENTRIES = Table("entries", METADATA, Column("id", Integer, primary_key=True), Column("item", String(40)))
ADD, COUNT = insert(ENTRIES), select(func.count()).select_from(ENTRIES)


class Sold(Event, package="bench.growth.v1", key="item"):
    item: str


class Shop(Contract, Protocol, package="bench.growth.v1"):
    @once
    async def sell(self, item: str) -> None: ...

    @once(timeout=60.0)
    async def order(self, number: int) -> int: ...


class ShopService(Shop, Service, name="shop"):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def sell(self, item: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Sold(item=item))

    @saga
    async def order(self, flow: Flow, number: int) -> int:
        for _ in range(5):
            number = await flow.step(self.step, number)
        return number

    async def step(self, number: int) -> int:
        return number + 1


class Ledger(Contract, Protocol, package="bench.growth.v1"):
    @safe
    async def entries(self) -> int: ...


HEARD: dict[str, asyncio.Event] = {}


class LedgerService(Ledger, Service, name="ledger", tables=METADATA):
    def __init__(self, database: Database) -> None:
        self.database = database

    @on(Sold)
    async def enter(self, event: Sold) -> None:
        async with self.database.begin() as tx:
            await tx.execute(ADD, {"item": event.item})
            if (heard := HEARD.get(event.item)) is not None:
                tx.after_commit(heard.set)

    async def entries(self) -> int:
        return int(await self.database.fetch_value(COUNT))


class Away(Contract, Protocol, package="bench.growth.v1"):
    @safe
    async def entries(self) -> int: ...


class AwayService(Away, Service, name="away"):
    def __init__(self, database: Database) -> None:
        self.database = database

    @on(Sold)
    async def refuse(self, event: Sold) -> None:
        assert event.item
        raise CallError(Code.UNAVAILABLE, "what it needs is away", may_have_happened=False)

    async def entries(self) -> int:
        return 0


async def timed(work: Callable[[int], Awaitable[Any]], count: int) -> list[float]:
    """The milliseconds that each of some took, one after the other."""
    took = []
    for number in range(count):
        began = time.perf_counter()
        await work(number)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def running(url: str, operations: int) -> dict[str, float]:
    """What a system that runs in this process costs."""
    system, starts = System("growth", services=[ShopService, LedgerService, AwayService]), []
    for _ in range(STARTS - 1):
        began = time.perf_counter()
        async with alone(system, database=url):
            starts.append(time.perf_counter() - began)
    began = time.perf_counter()
    async with alone(system, database=url) as app:
        starts.append(time.perf_counter() - began)
        client = app.client(Shop)
        for _ in range(600):  # a backlog is read into memory first, as far as it may
            if not any(each.is_busy for each in app.instances.values()):
                break
            await asyncio.sleep(0.05)

        async def publish(number: int) -> None:
            item = f"{os.getpid()} {number}"
            HEARD[item] = asyncio.Event()
            await client.sell(item)
            await HEARD[item].wait()

        for warm in range(-operations // 3, 0):
            await publish(warm)
            await client.order(0)
        found = {
            "start, ms": min(starts) * 1000,
            "published to handled, ms": statistics.median(await timed(publish, operations)),
            "saga of five steps, ms": statistics.median(await timed(client.order, operations)),
        }

        async def scrape(_: int) -> None:
            app._gauges._counted.clear()
            app._gauges._looked = -1.0
            await app.figures("text/plain")

        found["/metrics, ms"] = min(await timed(scrape, LOOKS))
        found["resident memory, MB"] = memory_mb(os.getpid())
    return found


async def forget_own(url: str) -> None:
    """Delete the events of this process: the next one shall find as much as this one did."""
    shop = database_for(url.format(service="shop"), name="shop")
    await shop.start()
    await shop.execute(delete(OUTBOX).where(OUTBOX.c.key.like(f"{os.getpid()} %")))
    await shop.stop()


async def looked_at(url: str) -> dict[str, float]:
    """What a look at the databases costs, and the rounds of who looks after them, while nothing else runs."""
    shop, ledger = (database_for(url.format(service=name), name=name) for name in ("shop", "ledger"))
    for database in (shop, ledger):
        await database.start()
    store, lease = SagaStore(shop, CLOCK), Lease(shop, "bench")
    await lease.start()
    outbox, journal = Outbox(shop, "//growth/shop", lambda _: (), CLOCK, lease=lease), Journal(shop, CLOCK, lease, {})
    # What is shown of a saga that goes on are the children that it may have begun since.
    parked = select(SAGAS.c.id).where(SAGAS.c.state == "parked").order_by(SAGAS.c.created).limit(1)
    oldest = await shop.fetch_value(parked) or await shop.fetch_value(select(SAGAS.c.id).limit(1))
    middle = CLOCK.now() - timedelta(days=15)

    async def claim(_: int) -> None:
        await outbox.claim("away", None, turns=64, run=8, unkeyed=500)

    async def counts(_: int) -> None:
        await outbox.depth()
        await waiting_in(shop)
        await store.counts()

    async def round_of_relay(_: int) -> None:
        await outbox.clear_up()
        await outbox.subscribers()

    async def round_of_sagas(_: int) -> None:
        await journal.claimable(100)
        await journal.next_wake()

    def piece(database: Database, sweep: Sweep, before: Any) -> Callable[[int], Awaitable[Any]]:
        after = {f"after_{column.name}": "" for column in sweep.columns}
        return lambda _: database.fetch_all(sweep.piece, after | {"before": before})

    long_ago = CLOCK.now() - timedelta(days=60)
    works: dict[str, Callable[[int], Awaitable[Any]]] = {
        "round of the relay, ms": round_of_relay,
        "claim of 500 events, ms": claim,
        "round of the sagas, ms": round_of_sagas,
        "what waits, counted, ms": counts,
        "sagas list, ms": lambda _: store.list(),
        "sagas list, older than 15 days, ms": lambda _: store.list(before=middle),
        "sagas list --state parked, ms": lambda _: store.list(SagaState.PARKED),
        "sagas list --state failed, ms": lambda _: store.list(SagaState.FAILED),
        "sagas list --saga, one that few are, ms": lambda _: store.list(name="rare"),
        "sagas show, parked a month ago, ms": lambda _: store.show(oldest),
        "sweep of old sagas, a piece of 500, ms": piece(shop, OLD_SAGAS, long_ago),
        "sweep of old answers, a piece of 500, ms": piece(shop, answers.FORGET, long_ago),
        "sweep of the inbox, a piece of 500, ms": piece(ledger, inbox.FORGET, long_ago.timestamp()),
    }
    found = {name: min(await timed(work, LOOKS)) for name, work in works.items()}
    await outbox.release()
    for component in (lease, shop, ledger):
        await component.stop()
    return found


async def measure(url: str, operations: int, *, keep: bool) -> dict[str, float]:
    """Both, one after the other."""
    logging.disable(logging.CRITICAL)  # the subscriber that is away says so each time
    found = await running(url, operations)
    if not keep:
        await forget_own(url)
    return found | await looked_at(url)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--operations", type=int, default=OPERATIONS)
    parser.add_argument("--keep", action="store_true", help="leave the events that were published, to be copied")
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.url, given.operations, keep=given.keep))))


if __name__ == "__main__":
    main()
