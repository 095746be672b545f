"""Meristem as a contestant: a server by `meristem process`, a caller by an assembly, every default on at both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers import quotes
from meristem import Contract, Message, Service, System, safe
from meristem.discovery.static import StaticResolver
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.security.tokens import Tokens
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, Placement

SECRET = "MERISTEM_SECRET"
CALLER, SERVER = "caller", "offers"
PLACEMENT = f'[processes]\n{SERVER} = ["offers"]\n'


class Quote(Message):
    hotel_id: int
    city: str
    nights: int
    price: float


class Query(Message):
    city: str
    count: int


class Quotes(Message):
    items: list[Quote]


class Offers(Contract, Protocol, package="bench.offers.v1"):
    @safe
    async def echo(self, quote: Quote) -> Quote: ...

    @safe
    async def search(self, query: Query) -> Quotes: ...


QUOTE = Quote(**quotes.QUOTE)
QUERY = Query(**quotes.QUERY)
ROWS = [Quote(**each) for each in quotes.ROWS]


class OffersService(Offers, Service):
    async def echo(self, quote: Quote) -> Quote:
        return quote

    async def search(self, query: Query) -> Quotes:
        return Quotes(items=ROWS[: query.count])


system = System("bench", services=[OffersService])


def write_placement(folder: Path) -> Path:
    """The placement file that the server is started with."""
    path = folder / "placement.toml"
    path.write_text(PLACEMENT)
    return path


async def serve(_address: str, ready: Callable[[], None]) -> None:
    """Nothing is served for calls within one process."""
    ready()
    await asyncio.Event().wait()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[Any]]]]:
    """Calls to a server at `address`, or within this process for `local`."""
    assembly = _alone() if address == "local" else _caller(address)
    await assembly.start()
    await assembly.activate()
    try:
        client = assembly.client(Offers, None if address == "local" else CALLER)
        yield {"echo": lambda: client.echo(QUOTE), "list": lambda: client.search(QUERY)}
    finally:
        await assembly.stop()


def _alone() -> Assembly:
    return Assembly(Blueprint(system), ALONE, Options())


def _caller(address: str) -> Assembly:
    """A process without services: what a service's process is to the service that it calls."""
    tokens = Tokens(os.environ[SECRET].encode())
    placement = Placement(processes={CALLER: (), SERVER: ("*",)})
    options = Options(
        resolver=StaticResolver({"offers": [address]}),
        sign=lambda context: tokens.sign(context.caller, context.user),
    )
    return Assembly(Blueprint(system, placement), CALLER, options)
