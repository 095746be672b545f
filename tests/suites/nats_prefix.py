"""What a test makes on the NATS server that all share: under a prefix of its own, and gone afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import nats

SERVER = "nats://127.0.0.1:4222"


@asynccontextmanager
async def bus_of_its_own() -> AsyncIterator[str]:
    """The URL of a bus on which nothing has happened yet."""
    prefix = prefix_of_its_own()
    yield f"{SERVER}?prefix={prefix}"
    await forget(prefix)


def prefix_of_its_own() -> str:
    """One that nobody else has."""
    return f"t{uuid4().hex[:12]}"


async def forget(prefix: str) -> None:
    """Take away what was made under a prefix."""
    client = await nats.connect(SERVER)
    try:
        for made in await client.jetstream().streams_info():
            if prefix in made.config.name:
                await client.jetstream().delete_stream(made.config.name)
    finally:
        await client.close()
