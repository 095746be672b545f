"""FastAPI on uvicorn, called by aiohttp's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.peers.fastapi_httpx import JSON, serve
from benchmarks.peers.models import QUERY, QUOTE, Quote, Quotes

__all__ = ["calling", "serve"]


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=5.0)
    async with aiohttp.ClientSession(address, timeout=timeout, raise_for_status=True, headers=JSON) as session:

        async def call_echo() -> Quote:
            async with session.post("/echo", data=QUOTE.model_dump_json()) as response:
                return Quote.model_validate_json(await response.read())

        async def call_search() -> Quotes:
            async with session.post("/search", data=QUERY.model_dump_json()) as response:
                return Quotes.model_validate_json(await response.read())

        yield {"echo": call_echo, "list": call_search}
