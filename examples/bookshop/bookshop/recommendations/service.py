"""Recommends books by the latest model, and has a new one trained when there is more to learn from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, final

from bookshop.contracts.catalogue import BookListed
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
from bookshop.recommendations.history import History
from bookshop.recommendations.model import Integers, Model
from bookshop.recommendations.models import Models
from bookshop.recommendations.purchases import Purchases
from bookshop.recommendations.settings import RecommendationsSettings
from bookshop.recommendations.shelves import Shelves
from meristem import CallError, Clock, Code, Database, Service, batched, every, on

CATEGORIES = frozenset(BookCategory)  # those of the file: any other number is kept, as protobuf asks for


class Question(NamedTuple):
    """What a customer has, and the books that are to be ranked."""

    basket: list[int]
    shelf: Integers


@final
class RecommendationsService(Recommendations, Service, tables=tables.metadata, provides=[Purchases, Models, History]):
    """Knows who bought what, and ranks by it."""

    def __init__(
        self,
        training: Training,
        database: Database,
        purchases: Purchases,
        models: Models,
        history: History,
        settings: RecommendationsSettings,
        clock: Clock,
    ) -> None:
        self.training = training
        self.database = database
        self.purchases = purchases
        self.models = models
        self.history = history
        self.settings = settings
        self.clock = clock
        self._shelves = Shelves([])
        self._model = Model.untrained()
        self.version = 0  # of the model; 0 until there is one

    async def start(self) -> None:
        await self.refresh()

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
        """Enter a book, and those of the history who have it; or change its entry."""
        book_id, title, shelf = event.book_id, event.book.title, int(BookCategory[event.book.category.name])
        async with self.database.begin() as tx:
            if await tx.fetch_value(tables.IS_LISTED, {"book_id": book_id}) is not None:
                await tx.execute(tables.CHANGE_ENTRY, {"wanted": book_id, "called": title, "shelf": shelf})
                return
            await tx.execute(tables.LIST, {"book_id": book_id, "title": title, "category": shelf})
            if readers := self.history.buyers(book_id, shelf):
                rows = [{"customer_id": each, "book_id": book_id, "orders": 1} for each in readers]
                await tx.execute(tables.BUY, rows)

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
        shelves = await Shelves.read(self.database)
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
        elif self.version == 0:
            self._model = await self.purchases.most_sold()
        self._shelves = await Shelves.read(self.database)


def _books_of(order: Order) -> list[int]:
    return sorted({item.book_id for item in order.items})
