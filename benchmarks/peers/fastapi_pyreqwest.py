"""FastAPI on uvicorn, called by pyreqwest, whose connections are those of a library of Rust."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pyreqwest.client import ClientBuilder

from benchmarks.peers.models import QUERY, QUOTE, Quote, Quotes

JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    builder = ClientBuilder().base_url(address).timeout(timedelta(seconds=5)).error_for_status(True)
    async with builder.default_headers(JSON).build() as client:

        async def call_echo() -> Quote:
            response = await client.post("/echo").body_text(QUOTE.model_dump_json()).build().send()
            return Quote.model_validate_json(await response.text())

        async def call_search() -> Quotes:
            response = await client.post("/search").body_text(QUERY.model_dump_json()).build().send()
            return Quotes.model_validate_json(await response.text())

        yield {"echo": call_echo, "list": call_search}
