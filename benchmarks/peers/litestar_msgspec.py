"""Litestar on uvicorn with msgspec's structs, which it reads and writes itself."""

from __future__ import annotations

from collections.abc import Callable

from litestar import Litestar, post

from benchmarks.peers.asgi import serve_app
from benchmarks.peers.structs import ROWS, Query, Quote, Quotes


@post("/echo")
async def echo(data: Quote) -> Quote:
    return data


@post("/search")
async def search(data: Query) -> Quotes:
    return Quotes(items=ROWS[: data.count])


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    await serve_app(Litestar([echo, search]), address, ready)
