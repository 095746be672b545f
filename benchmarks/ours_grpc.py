"""Meristem as a contestant of gRPC: the service of the peers, for everybody, and a caller of theirs."""

from __future__ import annotations

from typing import Protocol

from benchmarks.ours import ROWS, Query, Quote, Quotes
from meristem import Contract, Service, System, safe


class Offers(Contract, Protocol, package="bench.offers.v1"):
    @safe(http="POST /echo")
    async def echo(self, quote: Quote) -> Quote: ...

    @safe(http="POST /search")
    async def search(self, query: Query) -> Quotes: ...


class OffersService(Offers, Service):
    async def echo(self, quote: Quote) -> Quote:
        return quote

    async def search(self, query: Query) -> Quotes:
        return Quotes(items=ROWS[: query.count])


system = System("bench", services=[OffersService])
