"""What is recommended, and what is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from bookshop.catalogue.service import CatalogueService
from bookshop.contracts.catalogue import BookListed, Catalogue
from bookshop.contracts.items import PricedItem
from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations
from bookshop.contracts.training import Quality, Trained, Training
from bookshop.contracts.transactions import Address, Order, OrderPlaced, OrderRefunded, OrderStatus
from bookshop.recommendations import service as recommending
from bookshop.recommendations.model import Model
from bookshop.recommendations.recommender import Recommender
from bookshop.recommendations.service import RecommendationsService
from bookshop.recommendations.training import TrainingService
from msgspec import structs

from meristem import Event
from meristem.testing import ManualClock, RunningSystem

MYSTERIES = 19  # of the catalogue
NOBODY = 2_000_000
HOME = Address(name="Ada", street="12 St James's Square", postcode="SW1Y 4JH", city="London", country="UK")


class Trainer:
    """Trains when it is told to, and says of the model what it is told to say."""

    def __init__(self, **rates: float) -> None:
        self.is_at_work = False
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.quality = Quality(customers=9, at=3, **{"model": 0.6, "most_sold": 0.3, **rates})

    async def train(self, purchases: bytes, shelves: dict[int, int]) -> Trained:
        self.is_at_work = True
        await self.may_end.wait()
        self.is_at_work = False
        trained = await TrainingService().train(purchases, shelves)
        return Trained(model=trained.model, quality=self.quality)


class Asked:
    """The running service, and what customers do."""

    def __init__(self, app: RunningSystem) -> None:
        self.app = app
        self.service = app.service(RecommendationsService)

    async def titles(self, user_id: int = NOBODY, most: int = 3, category: BookCategory = BookCategory.MYSTERY) -> Any:
        request = RecommendationRequest(user_id=user_id, category=category, max_results=most)
        reply = await self.app.client(Recommendations).recommend(request)
        return [each.title for each in reply.recommendations]

    async def happens(self, event: Event) -> None:
        async with self.app.database("catalogue").begin() as tx:
            await tx.publish(event)
        await self.app.settled()


def order_of(customer_id: int, *books: int) -> Order:
    items = [PricedItem(book_id=each, title="A book", author="Somebody", price=900, copies=1) for each in books]
    return Order(
        order_id=uuid4(), customer_id=customer_id, status=OrderStatus.PLACED, name="Ada", email="ada@reader.example",
        address=HOME, items=items, discount=0, total=900 * len(books), buy_two_get_one_free_promo=False,
        opened=ManualClock().now(),
    )  # fmt: skip


@pytest.fixture
def asking(run: Callable[..., Any]) -> Callable[..., Any]:
    """`async with asking(trainer) as asked:` runs the catalogue and recommendations with all books listed."""

    @asynccontextmanager
    async def opened(trainer: Trainer | None = None, *, clock: Any = None, **settings: Any) -> AsyncIterator[Asked]:
        services = [CatalogueService, RecommendationsService, *([] if trainer else [TrainingService])]
        fakes = {Training: trainer} if trainer else {}
        given = {"recommendations": settings}
        async with run(*services, fakes=fakes, settings=given, clock=clock or ManualClock()) as app:
            yield Asked(app)

    return opened


async def test_a_book_that_comes_or_changes_is_recommended_as_it_is(asking: Any) -> None:
    async with asking(Trainer(), readers=0) as asked:
        book = await asked.app.client(Catalogue).book(1)
        await asked.happens(BookListed(book_id=1, book=structs.replace(book, title="The Maltese Cat")))
        await asked.happens(BookListed(book_id=70, book=structs.replace(book, book_id=70, title="The Cat's Return")))
        await asked.service.refresh()
        titles = await asked.titles(most=100)
    assert titles[0] == "The Maltese Cat"
    assert titles[-1] == "The Cat's Return"
    assert len(titles) == MYSTERIES + 1


async def test_the_model_is_trained_where_it_is_computed_and_finds_what_a_customer_likes(asking: Any) -> None:
    """By a worker process, on the made-up history: customers with a history get books of their own."""
    async with asking() as asked:
        before = await asked.titles(1)
        await asked.app.eventually(lambda: asked.service.version, equals=1, timeout=60.0)
        of_many = {tuple(await asked.titles(each)) for each in range(1, 30)}
        of_new = {tuple(await asked.titles(each)) for each in range(NOBODY, NOBODY + 5)}
    assert len(before) == 3
    assert len(of_many) > 10
    assert len(of_new) == 1


async def test_who_buys_gets_other_books_and_who_sends_them_back_the_first_ones(asking: Any) -> None:
    async with asking(Trainer()) as asked:
        await asked.app.eventually(lambda: asked.service.version, equals=1)
        new = await asked.titles(most=3)
        order = order_of(NOBODY, 4, 5, 1)
        await asked.happens(OrderPlaced(order_id=order.order_id, order=order))
        bought = await asked.titles(most=MYSTERIES)
        await asked.happens(OrderRefunded(order_id=order.order_id, order=order))
        back = await asked.titles(most=3)
    assert bought[-1] == "The Maltese Falcon"  # there is no other book left to show before one that they have
    assert bought[:3] != new
    assert back == new


async def test_all_are_answered_by_the_old_model_while_the_new_one_is_trained(asking: Any) -> None:
    trainer = Trainer()
    async with asking(trainer, retrain_seconds=0) as asked:
        await asked.app.eventually(lambda: asked.service.version, equals=1)
        trainer.may_end.clear()
        order = order_of(NOBODY, 4)
        await asked.happens(OrderPlaced(order_id=order.order_id, order=order))
        await asked.app.eventually(lambda: trainer.is_at_work)
        assert len(await asked.titles()) == 3
        assert asked.service.version == 1
        trainer.may_end.set()
        await asked.app.eventually(lambda: asked.service.version, equals=2)


async def test_a_model_is_trained_when_something_was_sold_and_a_minute_has_passed(asking: Any) -> None:
    clock = ManualClock()
    async with asking(Trainer(), clock=clock) as asked:
        await asked.app.eventually(lambda: asked.service.version, equals=1)
        await clock.advance(120)
        await asked.service.retrain()
        assert asked.service.version == 1  # nothing was sold
        clock.step(-120)
        order = order_of(NOBODY, 4)
        await asked.happens(OrderPlaced(order_id=order.order_id, order=order))
        await asked.service.retrain()
        assert asked.service.version == 1  # a minute has not passed since
        await asked.app.eventually(lambda: asked.service.version, equals=2)


async def test_a_model_that_most_sold_beats_is_not_taken(asking: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with asking(Trainer(model=0.2)) as asked:
        before = await asked.titles(1)
        with caplog.at_level("INFO"):
            await asked.service.retrain()
        assert asked.service.version == 0
        assert await asked.titles(1) == before
    assert "20.0 % of 9 customers, most sold for 30.0 %: it is not taken" in caplog.text


async def test_a_replica_takes_the_model_that_another_one_had_trained(asking: Any) -> None:
    async with asking(Trainer()) as asked:
        await asked.app.eventually(lambda: asked.service.version, equals=1)
        it = asked.service
        other = RecommendationsService(
            it.catalogue, it.training, it.books, it.purchases, it.models, it.settings, it.clock
        )
        await other.start()
        assert other.version == 1
        request = RecommendationRequest(user_id=7, max_results=5)
        assert await other.recommend(request) == await it.recommend(request)


async def test_many_who_ask_at_once_are_each_answered_as_alone(asking: Any) -> None:
    async with asking(Trainer()) as asked:
        await asked.app.eventually(lambda: asked.service.version, equals=1)
        alone = [await asked.titles(each) for each in range(1, 9)]
        assert await asyncio.gather(*[asked.titles(each) for each in range(1, 9)]) == alone


async def test_a_model_is_told_of_when_it_ranks_and_no_sooner(asking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(model: Model, books: Any) -> Recommender:
        time.sleep(0.2)
        return Recommender(model, books)

    monkeypatch.setattr(recommending, "Recommender", slowly)
    async with asking(Trainer()) as asked:
        await asked.app.eventually(lambda: asked.service.version, equals=1)
        assert asked.service._recommender.model.weights.any()  # the most sold books have none
