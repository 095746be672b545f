"""The messages as msgspec structs, for the stacks that read and write by msgspec."""

from __future__ import annotations

import msgspec

from benchmarks.peers import quotes


class Quote(msgspec.Struct):
    hotel_id: int
    city: str
    nights: int
    price: float


class Query(msgspec.Struct):
    city: str
    count: int


class Quotes(msgspec.Struct):
    items: list[Quote]


QUOTE = Quote(**quotes.QUOTE)
QUERY = Query(**quotes.QUERY)
ROWS = [Quote(**each) for each in quotes.ROWS]
