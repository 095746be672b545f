"""RabbitMQ: the port's suite on the real server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from meristem.contracts.message import Event
from meristem.events.adapters import bus_for
from meristem.events.brokers import broker
from meristem.events.brokers.address import read_address
from meristem.testing import ManualClock
from tests.suites.broker import BrokerSuite
from tests.suites.bus import Noted, Stage
from tests.suites.outage import Outage, Proxy

PORT = 5672
SERVER = f"amqp://guest:guest@127.0.0.1:{PORT}/"


class Verbose(Event, package=f"suite.{'very' * 64}.v1"):
    number: int


@asynccontextmanager
async def prefix() -> AsyncIterator[str]:
    """Names of one test, which are removed."""
    name = f"t{uuid4().hex[:12]}"
    yield name
    async with await aio_pika.connect(SERVER) as connection:
        channel = await connection.channel()
        await channel.exchange_delete(name)
        for service in ("billing", "mail"):
            await channel.queue_delete(f"{name}.suite.{service}")


async def _is_there(connection: AbstractConnection, name: str) -> bool:
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


class TestRabbitmq(BrokerSuite):
    refused = Verbose(number=0)  # it takes larger events than an outbox does

    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        async with prefix() as name:
            yield f"{SERVER}?prefix={name}"

    @pytest.fixture
    async def outage(self) -> AsyncIterator[Outage]:
        async with prefix() as name:
            proxy = Proxy(f"amqp://guest:guest@127.0.0.1:{{port}}/?prefix={name}", PORT)
            await proxy.end()
            yield proxy
            await proxy.begin()

    async def test_a_queue_that_somebody_deletes_is_made_again_and_taken_in(self, stage: Stage, url: str) -> None:
        billing = stage.subscriber("billing", Noted)
        await stage.start()
        await stage.publish(Noted(number=1))
        await stage.settle()
        async with await aio_pika.connect(SERVER) as connection:
            channel = await connection.channel()
            name = f"{read_address(url, ()).prefix}.suite.billing"
            await channel.queue_delete(name)
            async with asyncio.timeout(60):
                while not await _is_there(connection, name):
                    await asyncio.sleep(0.05)
        await stage.publish(Noted(number=2))
        await stage.settle()
        assert await billing.entries() == [1, 2]

    async def post(self, url: str, event_type: str, content_type: str, body: bytes) -> None:
        async with await aio_pika.connect(SERVER) as connection:
            exchange = await (await connection.channel()).get_exchange(read_address(url, ()).prefix)
            await exchange.publish(aio_pika.Message(body, content_type=content_type), event_type)

    async def test_a_broker_that_is_away_is_told_of_once_and_not_at_each_attempt(
        self, tmp_path: Path, outage: Outage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(broker, "_CAP", 0.01)
        monkeypatch.setattr(broker, "_PATIENCE", 1.0)
        await outage.begin()
        stage = Stage(tmp_path, bus_for(outage.url, system="suite"), ManualClock())
        stage.subscriber("billing")
        await stage.start()
        await stage.stop()

        told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
        assert len(told) == 1
        assert told[0].startswith("rabbitmq can't be reached: ")
