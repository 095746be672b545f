"""Recommends books by the latest model, and has a new one trained when there is more to learn from."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, final

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
from bookshop.recommendations.books import Books, Shelves
from bookshop.recommendations.history import History
from bookshop.recommendations.model import Integers, Model
from bookshop.recommendations.models import Models
from bookshop.recommendations.purchases import Purchases
from bookshop.recommendations.settings import RecommendationsSettings
from meristem import CallError, Clock, Code, Service, batched, every, on

logger = logging.getLogger(__name__)

PAGE = 100  # books that are asked for at a time
CATEGORIES = frozenset(BookCategory)  # those of the file: any other number is kept, as protobuf asks for


class Question(NamedTuple):
    """What a customer has, and the books that are to be ranked."""

    basket: list[int]
    shelf: Integers


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
    _model: Model = field(default_factory=Model.untrained, init=False)
    _shelves: Shelves = field(default_factory=lambda: Shelves([]), init=False)

    async def start(self) -> None:
        if not (await self.books.shelves()).categories:
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
        shelves = self._shelves
        basket = await self.purchases.of(request.user_id)
        ranked = await self._rank(Question(basket, shelves.of(request.category)))
        return RecommendationResponse(
            recommendations=[
                BookRecommendation(id=each, title=shelves.title(each)) for each in ranked[: request.max_results]
            ]
        )

    @batched(max_size=64, max_wait=0.002)
    def _rank(self, questions: list[Question]) -> list[list[int]]:
        """One product of matrices for all who ask at the moment."""
        return self._model.rank([each.basket for each in questions], [each.shelf for each in questions])

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
        shelves = await self.books.shelves()
        trained = await self.training.train((await self.purchases.all()).tobytes(), shelves.categories)
        await self.models.keep(trained, how_many)
        await self.refresh()

    def _is_due(self, last: datetime) -> bool:
        return self.clock.now() - last >= timedelta(seconds=self.settings.retrain_seconds)

    @every(seconds=1.0, each=True)
    async def refresh(self) -> None:
        """Take what is new, whichever replica heard of it: books, and the latest model that is of use."""
        if (newer := await self.models.newer(self.version)) is not None:
            self.version, self._model = newer
            logger.info("ranks by model %d", self.version)
        elif self.version == 0:
            self._model = await self.purchases.most_sold()
        self._shelves = await self.books.shelves()


def _books_of(order: Order) -> list[int]:
    return sorted({item.book_id for item in order.items})
