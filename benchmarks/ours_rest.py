"""Meristem as a contestant of REST: one service that everybody may call, and people who sign in."""

from __future__ import annotations

from typing import Protocol

from benchmarks.ours import ROWS, Query, Quote, Quotes
from meristem import Contract, Identity, Service, System, safe

TOKEN = "letmein"


class PublicOffers(Contract, Protocol, package="bench.offers.v1"):
    @safe(http="POST /echo")
    async def echo(self, quote: Quote) -> Quote: ...

    @safe(http="POST /search")
    async def search(self, query: Query) -> Quotes: ...


class PublicOffersService(PublicOffers, Service):
    async def echo(self, quote: Quote) -> Quote:
        return quote

    async def search(self, query: Query) -> Quotes:
        return Quotes(items=ROWS[: query.count])


async def authenticate(token: str) -> Identity | None:
    return Identity("42", "Ada") if token == TOKEN else None


system = System("bench", services=[PublicOffersService], authenticate=authenticate)
