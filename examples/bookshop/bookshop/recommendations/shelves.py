"""The books that there are, by category."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bookshop.recommendations import tables
from meristem import Database, Message

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    @classmethod
    async def read(cls, database: Database) -> Shelves:
        """Those of the moment."""
        return cls(await database.fetch_all(tables.BOOKS, into=BookRow))

    def of(self, category: int) -> Integers:
        """The books of a category, by id."""
        return np.asarray(self._books.get(category, []), np.int32)

    def title(self, book_id: int) -> str:
        """The title of a book."""
        return self._titles[book_id]
