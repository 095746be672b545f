"""The books of the shop."""

from enum import Enum
from typing import Annotated, Protocol

from msgspec import Meta

from bookshop.contracts.items import BookId, Cents
from meristem import Code, Contract, Event, Fault, Message, safe

Colour = Annotated[str, Meta(pattern=r"^#[0-9a-f]{6}$(?!\n)")]


class BookUnknown(Fault, code=Code.NOT_FOUND):
    """There is no such book."""

    book_id: int


class Category(Enum):
    """The shelves of the shop."""

    MYSTERY = "MYSTERY"
    SCIENCE_FICTION = "SCIENCE_FICTION"
    SELF_HELP = "SELF_HELP"


class Cover(Message):
    """The colours of a cover: what is printed in `ink` on `paper` can be read (WCAG 2.2, contrast of 4.5 to 1)."""

    paper: Colour
    ink: Colour
    accent: Colour


class Book(Message):
    """A book as the shop describes it; a `year` below zero is one before Christ."""

    book_id: BookId
    title: str
    author: str
    category: Category
    year: int
    pages: int
    price: Cents
    blurb: str
    cover: Cover


class Found(Message):
    """A page of what a search found, and how many there are on all pages."""

    books: list[Book]
    total: int


class BookListed(Event, package="bookshop.catalogue.v1", key="book_id"):
    """A book entered the catalogue, or its entry changed."""

    book_id: int
    book: Book


class Catalogue(Contract, Protocol, package="bookshop.catalogue.v1"):
    """Knows every book and its price."""

    @safe(http="GET /books/{book_id}", raises=[BookUnknown])
    async def book(self, book_id: BookId) -> Book:
        """One book."""
        ...

    @safe
    async def books(self, book_ids: Annotated[list[BookId], Meta(max_length=200)]) -> list[Book]:
        """Books by their ids, in that order; those that there are not are left out."""
        ...

    @safe(http="GET /books", max_staleness=10.0)
    async def search(
        self,
        query: Annotated[str, Meta(max_length=100)] = "",
        category: Category | None = None,
        limit: Annotated[int, Meta(ge=1, le=100)] = 24,
        offset: Annotated[int, Meta(ge=0, le=10_000)] = 0,
    ) -> Found:
        """Books in whose title, author or description each word of `query` begins a word, by title.

        Capitals and accents make no difference. Those with all words in title and author come first.
        """
        ...
