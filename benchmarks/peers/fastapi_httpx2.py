"""FastAPI on uvicorn, called by httpx2, by which FastAPI's own documentation goes on from httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from benchmarks.peers.models import QUERY, QUOTE, Quote, Quotes

JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    async with httpx2.AsyncClient(base_url=address, timeout=5.0) as client:

        async def call_echo() -> Quote:
            response = await client.post("/echo", content=QUOTE.model_dump_json(), headers=JSON)
            return Quote.model_validate_json(response.raise_for_status().content)

        async def call_search() -> Quotes:
            response = await client.post("/search", content=QUERY.model_dump_json(), headers=JSON)
            return Quotes.model_validate_json(response.raise_for_status().content)

        yield {"echo": call_echo, "list": call_search}
