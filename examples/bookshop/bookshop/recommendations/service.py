"""Recommends books by the latest model, and has a new one trained when there is more to learn from."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import final

from bookshop.contracts.catalogue import BookListed, Catalogue
from bookshop.contracts.recommendations import (
    BookCategory,
    BookRecommendation,
    RecommendationRequest,
    RecommendationResponse,
    Recommendations,
)
from bookshop.contracts.training import Training
from bookshop.contracts.transactions import Order, OrderPlaced, OrderRefunded
from bookshop.recommendations import tables
from bookshop.recommendations.books import Books
from bookshop.recommendations.history import History
from bookshop.recommendations.model import Model
from bookshop.recommendations.models import Models
from bookshop.recommendations.purchases import Purchases
from bookshop.recommendations.recommender import Question, Recommender
from bookshop.recommendations.settings import RecommendationsSettings
from meristem import CallError, Clock, Code, Service, batched, every, on

logger = logging.getLogger(__name__)

PAGE = 100  # books that are asked for at a time
CATEGORIES = frozenset(BookCategory)  # those of the file: any other number is kept, as protobuf asks for


@final
@dataclass
class RecommendationsService(
    Recommendations, Service, tables=tables.metadata, provides=[History, Books, Purchases, Models]
):
    """Knows who bought what, and ranks by it."""

    catalogue: Catalogue
    training: Training
    books: Books
    purchases: Purchases
    models: Models
    settings: RecommendationsSettings
    clock: Clock
    version: int = field(default=0, init=False)  # of the model; 0 until one was trained
    # Of two at once the one that began first could put the older model back.
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _recommender: Recommender = field(default_factory=lambda: Recommender(Model.untrained(), []), init=False)

    async def start(self) -> None:
        if not await self.books.all():
            await self._fill()
        await self.refresh()

    async def _fill(self) -> None:
        """At the first start, ask for the books that there are, so that nobody finds empty shelves."""
        listed, total = 0, 1
        while listed < total:
            try:
                found = await self.catalogue.search(limit=PAGE, offset=listed)
            except CallError as error:
                logger.warning("the catalogue cannot be asked, its events will bring the books: %s", error)
                return
            for book in found.books:
                await self.books.list(book)
            listed, total = listed + len(found.books), found.total if found.books else 0

    async def recommend(self, request: RecommendationRequest) -> RecommendationResponse:
        if request.category not in CATEGORIES:
            raise CallError(Code.NOT_FOUND, "Category not found")
        if request.max_results < 0:
            raise CallError(Code.INVALID_ARGUMENT, "max_results must not be negative")
        basket = await self.purchases.of(request.user_id)
        return RecommendationResponse(
            recommendations=await self._rank(Question(request.category, basket, request.max_results))
        )

    @batched(max_size=64, max_wait=0.002)
    def _rank(self, questions: list[Question]) -> list[list[BookRecommendation]]:
        """One product of matrices for all who ask for the same category at the moment."""
        return self._recommender.answer(questions)

    @on(BookListed)
    async def list_book(self, event: BookListed) -> None:
        """Enter a book, or change its entry."""
        await self.books.list(event.book)

    @on(OrderPlaced)
    async def count(self, event: OrderPlaced) -> None:
        """The books of an order are its customer's."""
        await self.purchases.count(event.order.customer_id, _books_of(event.order), 1)

    @on(OrderRefunded)
    async def count_back(self, event: OrderRefunded) -> None:
        """They were sent back."""
        await self.purchases.count(event.order.customer_id, _books_of(event.order), -1)

    @every(seconds=2.0)
    async def retrain(self) -> None:
        """Have a new model trained when there are other purchases than for the last, and time enough has passed.

        Whoever asks meanwhile is answered by the old one.
        """
        how_many, last = await self.purchases.how_many(), await self.models.last()
        if not how_many or (last is not None and (how_many == last.purchases or not self._is_due(last.trained))):
            return
        shelves = {each.book_id: each.category for each in await self.books.all()}
        trained = await self.training.train((await self.purchases.all()).tobytes(), shelves)
        await self.models.keep(trained, how_many)
        await self.refresh()

    def _is_due(self, last: datetime) -> bool:
        return self.clock.now() - last >= timedelta(seconds=self.settings.retrain_seconds)

    @every(seconds=1.0, each=True)
    async def refresh(self) -> None:
        """Take what is new, whichever replica heard of it: books, and the latest model that is of use."""
        async with self._refreshing:
            model, version, books = self._recommender.model, self.version, await self.books.all()
            if (newer := await self.models.newer(version)) is not None:
                version, model = newer
            elif version == 0:
                model = await self.purchases.most_sold()
            if model is not self._recommender.model or books != self._recommender.books:
                self._recommender = await asyncio.to_thread(Recommender, model, books)
            if version != self.version:  # only now does it rank by that
                self.version = version
                logger.info("ranks by model %d", version)


def _books_of(order: Order) -> list[int]:
    return sorted({item.book_id for item in order.items})
