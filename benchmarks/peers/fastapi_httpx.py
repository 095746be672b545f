"""FastAPI on uvicorn, called by httpx: what is written by hand most often."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from benchmarks.peers.asgi import serve_app
from benchmarks.peers.models import QUERY, QUOTE, ROWS, Query, Quote, Quotes

JSON = {"Content-Type": "application/json"}


def create_app() -> Any:
    from fastapi import FastAPI  # noqa: PLC0415 - the client does without it

    app = FastAPI()

    @app.post("/echo")
    async def echo(quote: Quote) -> Quote:
        return quote

    @app.post("/search")
    async def search(query: Query) -> Quotes:
        return Quotes(items=ROWS[: query.count])

    return app


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    await serve_app(create_app(), address, ready)


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=address, timeout=5.0) as client:

        async def call_echo() -> Quote:
            response = await client.post("/echo", content=QUOTE.model_dump_json(), headers=JSON)
            return Quote.model_validate_json(response.raise_for_status().content)

        async def call_search() -> Quotes:
            response = await client.post("/search", content=QUERY.model_dump_json(), headers=JSON)
            return Quotes.model_validate_json(response.raise_for_status().content)

        yield {"echo": call_echo, "list": call_search}
