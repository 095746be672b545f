"""NATS JetStream: the port's suite on the real server."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import nats
import pytest

from meristem.events.brokers.address import read_address
from tests.suites.broker import BrokerSuite
from tests.suites.outage import Outage, nats_server

SERVER = "nats://127.0.0.1:4222"


class TestNats(BrokerSuite):
    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        prefix = f"t{uuid4().hex[:12]}"
        yield f"{SERVER}?prefix={prefix}"
        client = await nats.connect(SERVER)
        try:
            for made in await client.jetstream().streams_info():
                if prefix in made.config.name:
                    await client.jetstream().delete_stream(made.config.name)
        finally:
            await client.close()

    @pytest.fixture
    async def outage(self, tmp_path: Path) -> AsyncIterator[Outage]:
        async with nats_server(tmp_path / "jetstream") as found:
            yield found

    async def post(self, url: str, event_type: str, content_type: str, body: bytes) -> None:
        client = await nats.connect(SERVER)
        subject = f"{read_address(url, ()).prefix}.{event_type}"
        await client.jetstream().publish(subject, body, headers={"Content-Type": content_type})
        await client.close()
