"""A broker that falls silent without a word is noticed, and what it held for a silent replica goes to another one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import aio_pika
import nats
import pytest

from meristem.context import Context
from meristem.events.adapters import bus_for
from meristem.events.brokers import nats as nats_broker
from meristem.events.brokers import rabbitmq
from meristem.events.brokers.address import read_address
from meristem.events.brokers.broker import Queue
from meristem.events.envelope import Envelope, enclose
from meristem.testing import ManualClock
from tests.suites.bus import Noted, Stage
from tests.suites.outage import Silent

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672"
NATS = "nats://127.0.0.1:4222"
NOTICED = 60.0  # seconds, for what takes six here


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "_HEARTBEAT", 1)
    monkeypatch.setattr(nats_broker, "_PING", 0.2)


async def remove(server: str, prefix: str) -> None:
    if server is RABBITMQ:
        async with await aio_pika.connect(server) as connection:
            channel = await connection.channel()
            await channel.exchange_delete(prefix)
            await channel.queue_delete(f"{prefix}.suite.billing")
        return
    client = await nats.connect(server)
    for made in await client.jetstream().streams_info():
        if prefix in made.config.name:
            await client.jetstream().delete_stream(made.config.name)
    await client.close()


@asynccontextmanager
async def behind(server: str) -> AsyncIterator[tuple[Silent, str]]:
    """A proxy before a server, and the prefix of a bus over it."""
    prefix = f"t{uuid4().hex[:12]}"
    head, _, port = server.rpartition(":")
    proxy = Silent(f"{head}:{{port}}?prefix={prefix}", int(port))
    await proxy.end()
    try:
        yield proxy, prefix
    finally:
        await proxy.begin()
        await remove(server, prefix)


@pytest.mark.parametrize("server", [RABBITMQ, NATS], ids=["rabbitmq", "nats"])
async def test_a_connection_that_carries_nothing_any_more_is_given_up_and_made_anew(server: str, tmp_path: Path):
    async with behind(server) as (proxy, _):
        stage = Stage(tmp_path, bus_for(proxy.url, system="suite"), ManualClock())
        billing = stage.subscriber("billing")
        await stage.start()
        await stage.publish(Noted(number=1))
        await stage.settle()

        proxy.fall_silent()
        await stage.publish(Noted(number=2))
        async with asyncio.timeout(NOTICED):
            await stage.settle()

        assert await billing.entries() == [1, 2]
        proxy.fall_silent()
        async with asyncio.timeout(NOTICED):
            await stage.stop()


class Kept:
    """As much of a service's incoming events as a queue of RabbitMQ needs."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.beginnings = SimpleNamespace(begin=self._nothing)

    async def _nothing(self, *_: object) -> None: ...

    async def room(self) -> None: ...

    async def store(self, events: list[Any]) -> None:
        for each in events:
            self.events.put_nowait(each)


async def test_what_rabbitmq_held_for_a_silent_replica_goes_to_the_one_that_takes_over():
    def event(number: int) -> Envelope:
        return enclose(Noted(number=number), "suite", datetime.now(UTC), Context())

    async with behind(RABBITMQ) as (proxy, prefix):
        queue = Queue("suite", "billing", frozenset({Noted.event_type}))
        urls = (proxy.url, f"{RABBITMQ}?prefix={prefix}")
        replicas = [rabbitmq.RabbitBroker(read_address(url, ()), "suite") for url in urls]
        kept = [Kept(), Kept()]
        async with asyncio.TaskGroup() as group:
            taking = []
            for replica, its in zip(replicas, kept, strict=True):
                await replica.connect([queue], lambda _: None)
                taking.append(group.create_task(replica.take(queue, its)))
                if its is kept[0]:
                    await replica.send(event(1))
                    await kept[0].events.get()
            proxy.fall_silent()

            await replicas[1].send(event(2))

            async with asyncio.timeout(NOTICED):
                await kept[1].events.get()
            for each in taking:
                each.cancel()
        for replica in replicas:
            await replica.close()
