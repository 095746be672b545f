"""Of more than two books the cheapest is free; who hasn't used that is written to once in each campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from bookshop.contracts.customers import Customer, Customers
from bookshop.contracts.items import PricedItem
from bookshop.contracts.promotions import Offer, Promotions, ReminderDue
from bookshop.contracts.transactions import Transactions
from bookshop.promotions.service import PromotionsService

from meristem import Identity, using
from meristem.testing import ManualClock, RunningSystem

PAGE = {"promotions": {"page": 3}}


class Readers:
    """Ten customers who want offers."""

    async def who_want_offers(self, after: int = 0, limit: int = 100) -> list[Customer]:
        ids = list(range(after + 1, 11))[:limit]
        return [Customer(customer_id=each, name=f"R {each}", email=f"r{each}@x.example", offers=True) for each in ids]


class Record:
    """The customers 2, 3 and 10 have used the promotion."""

    used = (2, 3, 10)

    async def promotion_used(self, customer_id: int) -> bool:
        return customer_id in self.used

    async def who_used_promotion(self, customer_ids: list[int]) -> list[int]:
        return [each for each in customer_ids if each in self.used]


@pytest.fixture
def start(run: Callable[..., Any]) -> Callable[..., Any]:
    fakes = {Customers: Readers(), Transactions: Record()}
    return lambda **options: run(PromotionsService, fakes=fakes, **options)


def items(*prices: int) -> list[PricedItem]:
    return [
        PricedItem(book_id=number, title="T", author="A", price=price, copies=1)
        for number, price in enumerate(prices, 1)
    ]


async def test_of_more_than_two_books_the_cheapest_is_free(start: Callable[..., Any]) -> None:
    async with start() as app:
        promotions = app.client(Promotions)
        assert await promotions.offer([], 1) == Offer(is_open=True, applies=False, missing=3)
        assert await promotions.offer(items(900, 700), 1) == Offer(is_open=True, applies=False, missing=1)
        free = Offer(is_open=True, applies=True, discount=700, free_book_id=2)
        assert await promotions.offer(items(900, 700, 800), 1) == free
        assert await promotions.offer(items(900, 700, 800)) == free  # a visitor may be new
        copies = [PricedItem(book_id=4, title="T", author="A", price=500, copies=3)]
        assert (await promotions.offer(copies, 1)).discount == 500
        assert await promotions.offer(items(900, 700, 800), 2) == Offer(is_open=False, applies=False)


async def test_the_banner_is_for_those_who_have_not_used_it(start: Callable[..., Any]) -> None:
    async with start() as app:
        shown = [await app.client(Promotions).is_open()]
        for subject in ("1", "2"):
            with using(user=Identity(subject)):
                shown.append(await app.client(Promotions).is_open())
    assert shown == [True, True, False]


async def test_a_promotion_that_does_not_run_is_for_nobody(start: Callable[..., Any]) -> None:
    async with start(settings={"promotions": {"running": False}}) as app:
        assert not await app.client(Promotions).is_open()
        assert not (await app.client(Promotions).offer(items(1, 2, 3), 1)).is_open


async def test_a_campaign_writes_once_to_each_who_has_not_used_it(start: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with start(settings=PAGE, clock=clock) as app:
        promotions = app.client(Promotions)
        begun, *others = await asyncio.gather(*(promotions.begin_campaign() for _ in range(5)))
        assert {each.campaign_id for each in others} == {begun.campaign_id}  # one at a time
        await app.eventually(lambda: _has_ended(promotions))
        assert reached(app) == [1, 4, 5, 6, 7, 8, 9]
        (campaign,) = await promotions.campaigns()
        assert (campaign.campaign_id, campaign.letters) == (begun.campaign_id, 7)
        assert (await promotions.begin_campaign()).campaign_id != begun.campaign_id


async def test_a_campaign_that_was_cut_off_goes_on_where_it_stopped(start: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with start(settings=PAGE, clock=clock) as app:
        record, asked = Record.who_used_promotion, 0

        async def dies(self: Record, customer_ids: list[int]) -> list[int]:
            nonlocal asked
            asked += 1
            if asked == 2:
                raise ConnectionError("transactions are away")
            return await record(self, customer_ids)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Record, "who_used_promotion", dies)
            await app.client(Promotions).begin_campaign()
            await app.eventually(lambda: _has_ended(app.client(Promotions)))
        assert reached(app) == [1, 4, 5, 6, 7, 8, 9]


def reached(app: RunningSystem) -> list[int]:
    """Whose letters are due, in that order."""
    return [each.event.customer_id for each in app.published(ReminderDue)]


async def _has_ended(promotions: Promotions) -> bool:
    return all(campaign.ended is not None for campaign in await promotions.campaigns())
