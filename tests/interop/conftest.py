"""A service with values of every kind, served on TCP for clients that Meristem did not write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import operation, safe
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.contracts.protobuf.proto_text import proto_text
from meristem.errors import CallError, Code, Fault, FieldViolation
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer


class Card(Message, tag="card"):
    number: str


class Cash(Message, tag="cash"):
    coins: list[int]


class Quote(Message):
    hotel_id: int
    city: str
    until: datetime
    length: timedelta
    means: Card | Cash
    raw: bytes = b""
    grid: list[list[int]] = []


class Gone(Fault, code=Code.NOT_FOUND):
    """The quote is gone."""

    hotel_id: int


class Quotes(Contract, Protocol, package="interop.quotes.v1"):
    @safe(raises=[Gone], http="POST /quotes")
    async def echo(self, quote: Quote) -> Quote: ...

    @safe(raises=[Gone], http="GET /count/{until}")
    def count(self, until: int) -> AsyncIterator[int]: ...

    @operation(http="POST /wait")
    async def wait(self) -> None: ...

    @operation
    async def internal(self) -> None: ...

    @operation(raises=[Gone])
    async def total(self, quotes: AsyncIterator[Quote]) -> int: ...

    @operation
    def chat(self, words: AsyncIterator[str]) -> AsyncIterator[str]: ...


class Served:
    """The server's address, its operations and their protobuf classes."""

    def __init__(self) -> None:
        self.operations = operations(Quotes)
        self.proto = ProtoCodec(self.operations.values())
        self.text = proto_text(self.operations.values())
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.deadlines: list[float | None] = []
        self.url = ""

    def quote(self, **changes: Any) -> Quote:
        values: dict[str, Any] = {
            "hotel_id": 2**60,
            "city": "Zürich",
            "until": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
            "length": timedelta(seconds=90.5),
            "means": Cash(coins=[1, 2]),
            "raw": b"\x00\xff",
            "grid": [[1], [2, 3]],
        }
        return Quote(**values | changes)

    def message(self, **changes: Any) -> Any:
        """The same as a protobuf message."""
        echo = self.operations["echo"]
        return self.proto.request_class(echo).FromString(self.proto.write_reply(echo, self.quote(**changes)))

    async def echo(self, call: Call) -> Any:
        self.deadlines.append(call.context.remaining())
        if call.request.city == "Gone":
            raise Gone(hotel_id=call.request.hotel_id)
        if call.request.city == "Odd":
            raise CallError(Code.INVALID_ARGUMENT, "odd", violations=(FieldViolation("city", "is odd"),))
        return call.request

    async def count(self, call: Call) -> Any:
        async def numbers() -> AsyncIterator[int]:
            for number in range(call.request.until):
                yield number
            if call.request.until > 100:
                raise Gone(hotel_id=call.request.until)

        return numbers()

    async def wait(self, _call: Call) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def internal(self, _call: Call) -> None:
        return None

    async def total(self, call: Call) -> Any:
        total = 0
        async for quote in call.request:
            if quote.city == "Gone":
                raise Gone(hotel_id=total)
            total += quote.hotel_id
        return total

    async def chat(self, call: Call) -> Any:
        async def words() -> AsyncIterator[str]:
            async for each in call.request:
                yield each.words

        return words()


class Partner:
    """Who stands behind the token `partner`."""

    service = "partner"
    user = None


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    known = Served()
    routes = {each.path: ServedOperation(each, getattr(known, name)) for name, each in known.operations.items()}
    server = HttpServer(
        routes,
        interfaces=[RestInterface(routes.values())],
        verify=lambda token: Partner() if token == "partner" else None,
    )
    await server.start("tcp://127.0.0.1:0", public=True)
    known.url = server.addresses[0].replace("tcp", "http")
    yield known
    await server.stop()
