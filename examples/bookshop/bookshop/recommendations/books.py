"""The books that there are, by category: a copy of what the catalogue tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bookshop.contracts.recommendations import BookCategory
from bookshop.recommendations import tables
from bookshop.recommendations.history import History
from meristem import Database, Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bookshop.contracts.catalogue import Book
    from bookshop.recommendations.model import Integers


class BookRow(Message):
    """A book as the table has it."""

    book_id: int
    title: str
    category: int


class Shelves:
    """The books of each category; a category may have none."""

    def __init__(self, rows: Iterable[BookRow]) -> None:
        self.categories = {row.book_id: row.category for row in rows}
        self._titles = {row.book_id: row.title for row in rows}
        self._books: dict[int, list[int]] = {}
        for book_id, category in self.categories.items():
            self._books.setdefault(category, []).append(book_id)

    def of(self, category: int) -> Integers:
        """The books of a category, by id."""
        return np.asarray(self._books.get(category, []), np.int32)

    def title(self, book_id: int) -> str:
        """The title of a book."""
        return self._titles[book_id]


class Books:
    """The table of books, and who of the history has them."""

    def __init__(self, database: Database, history: History) -> None:
        self._database = database
        self._history = history

    async def shelves(self) -> Shelves:
        """Those of the moment."""
        return Shelves(await self._database.fetch_all(tables.BOOKS, into=BookRow))

    async def list(self, book: Book) -> None:
        """Enter a book, and those of the history who have it; or change its entry."""
        shelf = int(BookCategory[book.category.name])
        async with self._database.begin() as tx:
            changed = {"wanted": book.book_id, "called": book.title, "shelf": shelf}
            if (await tx.execute(tables.CHANGE_ENTRY, changed)).rowcount:
                return
            await tx.execute(tables.LIST, {"book_id": book.book_id, "title": book.title, "category": shelf})
            if readers := self._history.buyers(book.book_id, shelf):
                rows = [{"customer_id": each, "book_id": book.book_id, "orders": 1} for each in readers]
                await tx.execute(tables.BUY, rows)
