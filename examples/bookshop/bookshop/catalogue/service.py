"""Tells of books: what they are, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from bookshop.catalogue import tables
from bookshop.catalogue.folding import words
from bookshop.catalogue.rows import BookRow
from bookshop.catalogue.seeding import seed
from bookshop.contracts.catalogue import Book, BookUnknown, Catalogue, Category, Found
from meristem import Database, Service


@final
@dataclass
class CatalogueService(Catalogue, Service, tables=tables.metadata):
    """Books in one table, with their words beside them."""

    database: Database

    async def start(self) -> None:
        await seed(self.database)

    async def book(self, book_id: int) -> Book:
        found = await self.database.fetch_one(tables.BOOK, {"book_id": book_id}, into=BookRow)
        if found is None:
            raise BookUnknown(book_id=book_id)
        return found.book()

    async def books(self, book_ids: list[int]) -> list[Book]:
        rows = await self.database.fetch_all(tables.BOOKS, {"book_ids": book_ids}, into=BookRow)
        known = {row.book_id: row.book() for row in rows}
        return [known[each] for each in book_ids if each in known]

    async def search(
        self, query: str = "", category: Category | None = None, limit: int = 24, offset: int = 0
    ) -> Found:
        asked = {"shelf": "%" if category is None else category.value, **tables.patterns(words(query))}
        page = {"most": limit, "skipped": offset}
        rows = await self.database.fetch_all(tables.SEARCH, {**asked, **page}, into=BookRow)
        total = await self.database.fetch_value(tables.COUNT, asked)
        return Found(books=[row.book() for row in rows], total=total)
