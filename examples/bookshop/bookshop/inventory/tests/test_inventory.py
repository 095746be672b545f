"""Each copy is given to one order, and comes back from one that isn't paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from bookshop.contracts.inventory import Inventory, OutOfStock, Reservation, ReservationExpired, Stock
from bookshop.contracts.items import Item
from bookshop.inventory.service import InventoryService

from meristem.testing import ManualClock

ONE, TWO = Item(book_id=1, copies=1), Item(book_id=2, copies=2)


async def test_of_many_who_want_the_last_copy_one_has_it(run: Callable[..., Any]) -> None:
    async with run(InventoryService) as app:
        inventory = app.client(Inventory)
        await inventory.deliver(ONE)
        asked = [inventory.reserve(uuid4(), [ONE]) for _ in range(10)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(each, Reservation) for each in answers) == 1
        assert sum(isinstance(each, OutOfStock) for each in answers) == 9
        assert await inventory.stock([1]) == [Stock(book_id=1, left=0)]


async def test_an_order_has_all_its_books_or_none(run: Callable[..., Any]) -> None:
    async with run(InventoryService) as app:
        inventory = app.client(Inventory)
        await inventory.deliver(ONE)
        await inventory.deliver(Item(book_id=2, copies=1))
        with pytest.raises(OutOfStock) as raised:
            await inventory.reserve(uuid4(), [ONE, TWO])
        assert (raised.value.book_id, raised.value.left) == (2, 1)
        assert [each.left for each in await inventory.stock([1, 2, 3])] == [1, 1, 0]


async def test_what_is_released_is_back_once(run: Callable[..., Any]) -> None:
    async with run(InventoryService) as app:
        inventory = app.client(Inventory)
        await inventory.deliver(TWO)
        kept = await inventory.reserve(uuid4(), [TWO])
        await inventory.confirm(kept.order_id)
        for _ in range(3):
            await inventory.release(kept)
        assert await inventory.stock([2]) == [Stock(book_id=2, left=2)]
        with pytest.raises(ReservationExpired):
            await inventory.confirm(kept.order_id)


async def test_what_is_not_paid_for_in_time_is_back_and_what_is_confirmed_stays(run: Callable[..., Any]) -> None:
    clock = ManualClock()
    async with run(InventoryService, clock=clock) as app:
        inventory = app.client(Inventory)
        await inventory.deliver(TWO)
        late, paid = await inventory.reserve(uuid4(), [_copies(1)]), await inventory.reserve(uuid4(), [_copies(1)])
        await inventory.confirm(paid.order_id)
        assert await inventory.stock([2]) == [Stock(book_id=2, left=0)]
        await clock.sleeping()
        await clock.advance(11 * 60)
        await app.eventually(lambda: inventory.stock([2]), equals=[Stock(book_id=2, left=1)])
        with pytest.raises(ReservationExpired):
            await inventory.confirm(late.order_id)
        await inventory.confirm(paid.order_id)


def _copies(count: int) -> Item:
    return Item(book_id=2, copies=count)
