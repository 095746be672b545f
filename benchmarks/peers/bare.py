"""The limit: length-prefixed msgpack, multiplexed over one Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from benchmarks.peers import bare_msgpack
from benchmarks.peers.structs import QUERY, QUOTE, ROWS, Query, Quote, Quotes


async def echo(quote: Quote) -> Quote:
    return quote


async def search(query: Query) -> Quotes:
    return Quotes(items=ROWS[: query.count])


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    path = address.removeprefix("unix:")
    encode = msgspec.msgpack.Encoder().encode
    decoders = [msgspec.msgpack.Decoder(type_).decode for type_ in (Quote, Query)]
    methods: list[Any] = [(decoders[0], echo, encode), (decoders[1], search, encode)]
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: bare_msgpack.Server(methods), path)
    ready()
    await server.serve_forever()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    client = await bare_msgpack.connect(address.removeprefix("unix:"))
    encode = msgspec.msgpack.Encoder().encode
    quote, found = msgspec.msgpack.Decoder(Quote).decode, msgspec.msgpack.Decoder(Quotes).decode

    async def call_echo() -> Any:
        return quote(await client.call(0, encode(QUOTE)))

    async def call_search() -> Any:
        return found(await client.call(1, encode(QUERY)))

    yield {"echo": call_echo, "list": call_search}
    client.transport.close()
