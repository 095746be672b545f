"""FastStream with confirms and an outbox written by hand: `faststream_outbox.py URL DATABASE EVENTS`.

The URL says by `?prefix=` how all is called that is made there; the database is a server's URL, or else SQLite files in
the current folder, which is a new one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import uvloop
from faststream.nats import JStream, NatsBroker
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, delete, event, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

IN_FLIGHT = 16
BATCH = 100

METADATA = MetaData()
BOOKINGS = Table("bookings", METADATA, Column("id", Integer, primary_key=True), Column("guest", String(20)))
OUTBOX = Table("outbox", METADATA, Column("id", Integer, primary_key=True), Column("body", String))
ENTRIES = Table("entries", METADATA, Column("id", Integer, primary_key=True), Column("guest", String(20)))
OLDEST = select(OUTBOX.c.id, OUTBOX.c.body).order_by(OUTBOX.c.id).limit(BATCH)
REMOVE = delete(OUTBOX).where(OUTBOX.c.id == bindparam("of"))


class Booked(BaseModel):
    guest: str
    nights: int


class Store:
    """A database. In SQLite it has one writer at a time: who waits for its lock here does not wait by sleeping."""

    def __init__(self, name: str, server: str) -> None:
        if server.startswith("postgresql"):
            schema = f"{Path.cwd().name}_{name}"
            url = f"{server.replace('postgresql:', 'postgresql+asyncpg:')}/postgres"
            arguments = {"server_settings": {"search_path": schema}}
            self.engine: AsyncEngine = create_async_engine(url, pool_size=IN_FLIGHT, connect_args=arguments)
            self.writing: AbstractAsyncContextManager[Any] = nullcontext()
        else:
            self.engine = create_async_engine(f"sqlite+aiosqlite:///{name}.db")
            self.writing = asyncio.Lock()
            event.listen(self.engine.sync_engine, "connect", self._set)

    @staticmethod
    def _set(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for setting in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    async def make(self) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)

    async def write(self, *statements: Any, many: list[dict[str, int]] | None = None) -> None:
        async with self.writing, self.engine.begin() as connection:
            for each in statements:
                await connection.execute(each, many)


class Bench:
    """A publisher with an outbox, a task that empties it, and a subscriber with a database of its own."""

    def __init__(self, server: str) -> None:
        self.bookings, self.ledger = Store("bookings", server), Store("ledger", server)
        self.handled = 0
        self.progress = asyncio.Event()

    async def enter(self, booked: Booked) -> None:
        await self.ledger.write(insert(ENTRIES).values(guest=booked.guest))
        self.handled += 1
        self.progress.set()

    async def relay(self, publish: Callable[[Any], Awaitable[Any]]) -> None:
        while True:
            async with self.bookings.engine.connect() as connection:
                rows = (await connection.execute(OLDEST)).all()
            if not rows:
                await asyncio.sleep(0.01)
                continue
            await asyncio.gather(*(publish(json.loads(row.body)) for row in rows))
            await self.bookings.write(REMOVE, many=[{"of": row.id} for row in rows])

    async def work(self, count: int) -> None:
        until, numbers = self.handled + count, iter(range(count))

        async def book() -> None:
            for number in numbers:
                booked = Booked(guest=f"guest {number % 1000}", nights=2)
                row = insert(OUTBOX).values(body=booked.model_dump_json())
                await self.bookings.write(insert(BOOKINGS).values(guest=booked.guest), row)

        await asyncio.gather(*(book() for _ in range(IN_FLIGHT)))
        while self.handled < until:
            self.progress.clear()
            await self.progress.wait()


def over_nats(url: str, name: str, bench: Bench) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    broker = NatsBroker(url, logger=None)
    stream = JStream(name=name, subjects=[f"{name}.>"])
    broker.subscriber(f"{name}.booked", stream=stream, durable="ledger", max_workers=IN_FLIGHT)(bench.enter)
    return broker, lambda body: broker.publish(body, f"{name}.booked", stream=name, timeout=10.0)


def over_rabbitmq(url: str, name: str, bench: Bench) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    broker = RabbitBroker(url, logger=None)
    exchange = RabbitExchange(name, type=ExchangeType.TOPIC, durable=True)
    queue = RabbitQueue(f"{name}.ledger", durable=True, queue_type=QueueType.QUORUM, routing_key="booked")
    broker.subscriber(queue, exchange, channel=Channel(prefetch_count=1000))(bench.enter)
    return broker, lambda body: broker.publish(body, exchange=exchange, routing_key="booked", persist=True)


async def main(address: str, server: str, events: int) -> dict[str, float]:
    """Events per second from commit to handler, and the process's CPU for each."""
    bench = Bench(server)
    url, _, prefix = address.partition("?prefix=")
    for each in (bench.bookings, bench.ledger):
        await each.make()
    over = over_nats if url.startswith("nats") else over_rabbitmq
    broker, publish = over(url, prefix, bench)
    async with broker:
        await broker.start()
        relaying = asyncio.create_task(bench.relay(publish))
        await bench.work(events // 4)
        cpu, began = time.process_time(), time.perf_counter()
        await bench.work(events)
        took = time.perf_counter() - began
        relaying.cancel()
    return {"per_second": events / took, "cpu_us": (time.process_time() - cpu) / events * 1e6}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
