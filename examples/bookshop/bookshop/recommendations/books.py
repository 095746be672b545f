"""The books that there are, by category: a copy of what the catalogue tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bookshop.contracts.recommendations import BookCategory
from bookshop.recommendations import tables
from bookshop.recommendations.history import History
from meristem import Database, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bookshop.contracts.catalogue import Book


class BookRow(Message):
    """A book as the table has it."""

    book_id: int
    title: str
    category: int


class Books:
    """The table of books, and who of the history has them."""

    def __init__(self, database: Database, history: History) -> None:
        self._database = database
        self._history = history

    async def all(self) -> Sequence[BookRow]:
        """All of them, by id."""
        return await self._database.fetch_all(tables.BOOKS, into=BookRow)

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
