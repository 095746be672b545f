"""NATS JetStream: the port's suite on the real server."""

from collections.abc import AsyncIterator
from uuid import uuid4

import nats
import pytest

from tests.suites.bus import BusSuite

SERVER = "nats://127.0.0.1:4222"


class TestNats(BusSuite):
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
