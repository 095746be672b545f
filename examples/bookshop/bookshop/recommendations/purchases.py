"""Who has bought what: of the history, and by the orders that the shop tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bookshop.recommendations import tables
from bookshop.recommendations.model import Integers, Model
from meristem import Database, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 5_000  # rows that are read at a time


class Purchase(Message):
    """A customer who has a book."""

    customer_id: int
    book_id: int


class Sold(Message):
    """How many customers have a book."""

    book_id: int
    customers: int


class Purchases:
    """The table of purchases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, customer_id: int) -> list[int]:
        """The books that a customer has."""
        return await self._database.fetch_all(tables.BOUGHT, {"customer_id": customer_id}, into=int)

    async def count(self, customer_id: int, books: Sequence[int], change: int) -> None:
        """An order more, or one fewer, that has these books."""
        async with self._database.begin() as tx:
            tx.defer(tables.OPEN_PURCHASE, [{"customer_id": customer_id, "book_id": each} for each in books])
            rows = [{"buyer": customer_id, "bought": each, "change": change} for each in books]
            tx.defer(tables.COUNT_ORDER, rows)

    async def how_many(self) -> int:
        """How many orders have how many books: another number after each order."""
        found: int = await self._database.fetch_value(tables.HOW_MANY)
        return found

    async def most_sold(self) -> Model:
        """What ranks until a model was trained."""
        sold = await self._database.fetch_all(tables.SOLD, into=Sold)
        books = np.array([each.book_id for each in sold], np.int32)
        return Model.most_sold(books, np.array([each.customers for each in sold], np.float32))

    async def all(self) -> Integers:
        """Rows of a customer and a book, read page by page."""
        pages: list[list[Purchase]] = []
        last = Purchase(customer_id=-(2**31), book_id=0)
        while True:
            asked = {"customer_id": last.customer_id, "book_id": last.book_id, "most": PAGE}
            page = await self._database.fetch_all(tables.PURCHASES, asked, into=Purchase)
            pages.append(page)
            if len(page) < PAGE:
                rows = [(each.customer_id, each.book_id) for page in pages for each in page]
                return np.array(rows, "<i4").reshape(-1, 2)
            last = page[-1]
