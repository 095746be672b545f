"""Recommendations as they are measured: `batched` as in the shop, `one_by_one` with a product of matrices for each.

The variable `BENCH_BOOKS` says how large the catalogue is.
"""

from __future__ import annotations

import asyncio
import os

from bookshop.catalogue.seeding import entries
from bookshop.contracts.catalogue import Book, Catalogue, Category, Found
from bookshop.contracts.recommendations import BookRecommendation
from bookshop.recommendations.recommender import Question
from bookshop.recommendations.service import RecommendationsService
from bookshop.recommendations.training import TrainingService
from msgspec import structs

from meristem import Service, System


class MadeUpCatalogue(Catalogue, Service):
    """As many books as are asked for, on three shelves."""

    def __init__(self) -> None:
        first = entries()[0].book()
        shelves = list(Category)
        books = int(os.environ.get("BENCH_BOOKS", "60"))
        self._books = [
            structs.replace(first, book_id=at + 1, title=f"Volume {at + 1}", category=shelves[at % len(shelves)])
            for at in range(books)
        ]

    async def book(self, book_id: int) -> Book:
        return self._books[book_id - 1]

    async def books(self, book_ids: list[int]) -> list[Book]:
        return [self._books[each - 1] for each in book_ids]

    async def search(
        self, query: str = "", category: Category | None = None, limit: int = 24, offset: int = 0
    ) -> Found:
        found = [each for each in self._books if query in each.title and category in (None, each.category)]
        return Found(books=found[offset : offset + limit], total=len(found))


class OneByOneService(RecommendationsService):  # type: ignore[misc]  # final for all but this comparison
    """Ranks for each customer alone, in a thread as well."""

    async def _rank(self, question: Question) -> list[BookRecommendation]:
        return (await asyncio.to_thread(self._recommender.answer, [question]))[0]


batched = System("bench", services=[MadeUpCatalogue, TrainingService, RecommendationsService])
one_by_one = System("bench", services=[MadeUpCatalogue, TrainingService, OneByOneService])
