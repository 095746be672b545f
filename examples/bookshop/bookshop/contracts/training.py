"""Trains the model by which books are ranked: work for a process that has processors, and no database."""

from typing import Annotated, Protocol

from msgspec import Meta

from meristem import Contract, Message, safe

Rate = Annotated[float, Meta(ge=0, le=1)]


class Quality(Message):
    """How often the book that a customer bought, and that was kept from the model, was among the first `at`.

    Beside it stands the rate of "most sold", which a model has to beat to be of any use. Both rank the books of one
    category without those that the customer had already.
    """

    customers: int
    at: int
    model: Rate
    most_sold: Rate


class Trained(Message):
    """A model as it is kept (`Model.load` reads it), and how good it is."""

    model: bytes
    quality: Quality


class Training(Contract, Protocol, package="bookshop.training.v1"):
    """Learns from purchases which books are bought by the same people."""

    @safe(cpu=True, timeout=300.0)
    async def train(self, purchases: bytes, shelves: dict[int, int]) -> Trained:
        """Train on purchases: each a customer and a book, two little-endian int32; `shelves` has each book's category.

        What it is worth is measured first, by a model that is not shown one purchase of each customer.
        """
        ...
