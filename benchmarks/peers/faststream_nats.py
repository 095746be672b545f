"""FastStream's request and reply over NATS; the address is that of a NATS server of the benchmark's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from faststream.nats import NatsBroker

from benchmarks.peers.models import QUERY, QUOTE, ROWS, Query, Quote, Quotes


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    broker = NatsBroker(address, logger=None)

    @broker.subscriber("echo")
    async def echo(quote: Quote) -> Quote:
        return quote

    @broker.subscriber("search")
    async def search(query: Query) -> Quotes:
        return Quotes(items=ROWS[: query.count])

    async with broker:
        await broker.start()
        ready()
        await asyncio.Event().wait()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    async with NatsBroker(address, logger=None) as broker:
        await broker.start()

        async def call_echo() -> Quote:
            reply = await broker.request(QUOTE, "echo", timeout=5.0)
            return Quote.model_validate_json(reply.body)

        async def call_search() -> Quotes:
            reply = await broker.request(QUERY, "search", timeout=5.0)
            return Quotes.model_validate_json(reply.body)

        yield {"echo": call_echo, "list": call_search}
