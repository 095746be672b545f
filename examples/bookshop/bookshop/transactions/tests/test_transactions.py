"""The record of what was sold: who used the promotion used it, by whatever ways at whatever moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from bookshop.contracts.items import PricedItem
from bookshop.contracts.payments import Payment
from bookshop.contracts.transactions import (
    Address,
    NewOrder,
    NotRefundable,
    Order,
    OrderPlaced,
    OrderRefunded,
    OrderStatus,
    PromotionUsed,
    SalesDay,
    Transactions,
)
from bookshop.transactions.service import TransactionsService

from meristem import Identity, using
from meristem.testing import ManualClock, RunningSystem

NEW = {"transactions": {"history_days": 0}}
HOME = Address(name="Ada", street="1 Square", postcode="SW1", city="London", country="UK")
BOOKS = [PricedItem(book_id=1, title="The Moonstone", author="Wilkie Collins", price=1000, copies=3)]


def new(customer_id: int = 7, *, promo: bool = True) -> NewOrder:
    discount = 1000 if promo else 0
    return NewOrder(
        order_id=uuid4(), customer_id=customer_id, name="Ada", email="ada@reader.example", address=HOME, items=BOOKS,
        discount=discount, total=3000 - discount, buy_two_get_one_free_promo=promo,
    )  # fmt: skip


async def bought(transactions: Transactions, wanted: NewOrder) -> Order:
    order = await transactions.open(wanted)
    await transactions.settle(_payment(order.order_id))
    return await transactions.place(order.order_id)


def _payment(order_id: UUID) -> Payment:
    return Payment(order_id=order_id, amount=2000, reference=f"ch_{order_id}", last4="4242")


@pytest.fixture
async def app(run: Callable[..., Any]) -> AsyncIterator[RunningSystem]:
    async with run(TransactionsService, clock=ManualClock(), settings=NEW) as app:
        yield app


@pytest.fixture
def transactions(app: RunningSystem) -> Transactions:
    return app.client(Transactions)


async def test_of_many_orders_at_a_time_one_has_the_promotion(transactions: Transactions) -> None:
    asked = [transactions.open(new()) for _ in range(20)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, Order) for each in answers) == 1
    assert sum(isinstance(each, PromotionUsed) for each in answers) == 19
    assert await transactions.promotion_used(7)


async def test_another_customer_and_an_order_without_it_are_free(transactions: Transactions) -> None:
    await transactions.open(new())
    await transactions.open(new(8))
    for _ in range(3):
        await transactions.open(new(promo=False))
    assert sorted(await transactions.who_used_promotion([6, 7, 8, 9])) == [7, 8]
    assert await transactions.who_used_promotion([]) == []


async def test_an_order_that_failed_has_used_nothing_and_one_that_was_refunded_has(transactions: Transactions) -> None:
    await transactions.fail(await transactions.open(new()))
    assert not await transactions.promotion_used(7)
    order = await bought(transactions, new())
    with using(user=Identity("7")):
        await transactions.begin_refund(order.order_id)
    with pytest.raises(PromotionUsed):  # while the money is on its way
        await transactions.open(new())
    assert (await transactions.refunded(order.order_id)).status is OrderStatus.REFUNDED
    with pytest.raises(PromotionUsed):
        await transactions.open(new())


async def test_whatever_becomes_of_orders_at_whatever_moment_one_keeps_the_promotion(
    transactions: Transactions,
) -> None:
    chance = Random(7)
    standing: dict[UUID, Order] = {}
    given = 0
    for _ in range(300):
        some = chance.choice(list(standing.values())) if standing else None
        if some is None or chance.random() < 0.4:
            try:
                opened = await transactions.open(new(promo=chance.random() < 0.7))
            except PromotionUsed:
                assert any(each.buy_two_get_one_free_promo for each in standing.values())
                continue
            standing[opened.order_id] = opened
            given += opened.buy_two_get_one_free_promo
        elif some.status is OrderStatus.OPEN and chance.random() < 0.5:
            await transactions.fail(some)
            del standing[some.order_id]
        elif some.status is OrderStatus.OPEN:
            await transactions.settle(_payment(some.order_id))
            standing[some.order_id] = await transactions.place(some.order_id)
        elif some.status is OrderStatus.PLACED:
            with using(user=Identity("7")):
                begun = await transactions.begin_refund(some.order_id)
            if chance.random() < 0.5:
                await transactions.keep(begun)
            else:
                standing[some.order_id] = await transactions.refunded(some.order_id)
        used = [each for each in standing.values() if each.buy_two_get_one_free_promo]
        assert len(used) <= 1
        assert await transactions.promotion_used(7) is bool(used)
    assert given > 1  # of orders that failed it came back


async def test_the_order_says_that_it_had_the_promotion(transactions: Transactions) -> None:
    order = await bought(transactions, new())
    with using(user=Identity("7")):
        (mine,) = await transactions.mine()
    assert mine == order
    assert (mine.buy_two_get_one_free_promo, mine.items, mine.payment) == (True, BOOKS, _payment(order.order_id))


async def test_an_order_is_placed_and_told_once(app: RunningSystem, transactions: Transactions) -> None:
    order = await bought(transactions, new())
    assert await transactions.place(order.order_id) == order
    assert len(app.published(OrderPlaced)) == 1


async def test_an_order_that_was_placed_after_all_is_taken_back_as_its_customer_knows_it(
    app: RunningSystem, transactions: Transactions
) -> None:
    await transactions.fail(await bought(transactions, new()))
    with using(user=Identity("7")):
        (mine,) = await transactions.mine()
    assert mine.status is OrderStatus.REFUNDED
    assert len(app.published(OrderRefunded)) == 1
    assert await transactions.promotion_used(7)  # they have been told of their free book


async def test_a_refund_that_cannot_be_made_leaves_the_order_as_it_was(transactions: Transactions) -> None:
    order = await bought(transactions, new())
    with using(user=Identity("7")):
        begun = await transactions.begin_refund(order.order_id)
        with pytest.raises(NotRefundable):
            await transactions.begin_refund(order.order_id)
        await transactions.keep(begun)
        assert (await transactions.order(order.order_id)).status is OrderStatus.PLACED


async def test_sales_are_told_by_day_with_and_without_the_promotion(run: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with run(TransactionsService, clock=clock, settings=NEW) as app:
        transactions = app.client(Transactions)
        await bought(transactions, new(1, promo=False))
        clock._now += timedelta(days=2)
        for customer_id in (1, 2):
            await bought(transactions, new(customer_id))
        await transactions.open(new(3))  # not paid
        today = clock.now().date()
        assert await transactions.sales(4) == [
            SalesDay(day=today - timedelta(days=3)),
            SalesDay(day=today - timedelta(days=2), orders=1, copies=3, revenue=3000),
            SalesDay(day=today - timedelta(days=1)),
            SalesDay(
                day=today, orders=2, copies=6, revenue=4000, promoted_orders=2, promoted_copies=6,
                promoted_revenue=4000, discounts=2000,
            ),
        ]  # fmt: skip


async def test_a_new_shop_has_a_history_in_which_the_promotion_sells_more_and_a_real_one_is_left_alone(
    run: Callable[..., Any],
) -> None:
    clock = ManualClock()
    async with run(TransactionsService, clock=clock) as app:
        told = await app.client(Transactions).sales(61)
        await bought(app.client(Transactions), new(10_001))
    async with run(TransactionsService, clock=clock) as app:
        again = await app.client(Transactions).sales(61)

    before, after = told[:30], told[30:60]
    assert again[:-1] == told[:-1]
    assert (again[-1].orders, told[-1]) == (1, SalesDay(day=clock.now().date()))
    assert all(day.orders and not day.promoted_orders for day in before)
    assert all(day.promoted_orders <= day.orders and day.promoted_revenue <= day.revenue for day in after)
    assert sum(day.promoted_orders for day in after) > 50
    assert sum(day.copies for day in after) / sum(day.orders for day in after) > 2
    assert sum(day.copies for day in before) / sum(day.orders for day in before) < 2
