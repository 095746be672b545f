"""A book as it is stored."""

from __future__ import annotations

import msgspec

from bookshop.catalogue.covers import COVERS
from bookshop.contracts.catalogue import Book, Category
from meristem import Message


class BookRow(Message):
    """A book; of its cover the name alone is stored."""

    book_id: int
    title: str
    author: str
    category: Category
    year: int
    pages: int
    price: int
    blurb: str
    cover: str

    def book(self) -> Book:
        """The book as others know it."""
        return Book(**{**msgspec.structs.asdict(self), "cover": COVERS[self.cover]})
