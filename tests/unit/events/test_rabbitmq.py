"""RabbitMQ: the port's suite on the real server."""

from collections.abc import AsyncIterator
from uuid import uuid4

import aio_pika
import pytest

from tests.suites.bus import BusSuite

SERVER = "amqp://guest:guest@127.0.0.1:5672/"


class TestRabbitmq(BusSuite):
    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        prefix = f"t{uuid4().hex[:12]}"
        yield f"{SERVER}?prefix={prefix}"
        connection = await aio_pika.connect(SERVER)
        async with connection:
            channel = await connection.channel()
            await channel.exchange_delete(prefix)
            for service in ("billing", "mail"):
                await channel.queue_delete(f"{prefix}.suite.{service}")
