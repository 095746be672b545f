"""BlackSheep on uvicorn with dataclasses, as its first pages bind a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blacksheep import Application, FromJSON

from benchmarks.peers import quotes
from benchmarks.peers.asgi import serve_app


@dataclass
class Quote:
    hotel_id: int
    city: str
    nights: int
    price: float


@dataclass
class Query:
    city: str
    count: int


@dataclass
class Quotes:
    items: list[Quote]


ROWS = [Quote(**each) for each in quotes.ROWS]


async def echo(data: FromJSON[Quote]) -> Quote:
    return data.value


async def search(data: FromJSON[Query]) -> Quotes:
    return Quotes(items=ROWS[: data.value.count])


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    app = Application()
    app.router.add_post("/echo", echo)
    app.router.add_post("/search", search)
    await serve_app(app, address, ready)
