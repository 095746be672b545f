"""The messages as pydantic models, for the stacks that are built on pydantic."""

from __future__ import annotations

from pydantic import BaseModel

from benchmarks.peers import quotes


class Quote(BaseModel):
    hotel_id: int
    city: str
    nights: int
    price: float


class Query(BaseModel):
    city: str
    count: int


class Quotes(BaseModel):
    items: list[Quote]


QUOTE = Quote(**quotes.QUOTE)
QUERY = Query(**quotes.QUERY)
ROWS = [Quote(**each) for each in quotes.ROWS]
