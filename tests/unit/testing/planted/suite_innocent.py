"""Tests that see the same everywhere, but for what varies by itself; and some that stay where they are."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import innocent
import pytest
from innocent import Heard, Orders

from meristem import CallError
from meristem.testing import ManualClock, running


async def endless() -> AsyncIterator[int]:
    """How far it runs ahead of its callee is no difference."""
    number = 0
    while True:
        yield number
        number += 1


async def test_what_varies():
    async with running(innocent.system):
        first = await Orders.client().place("lamp")
        assert await Orders.client().order(first.order_id) == "lamp"
        orders = await asyncio.gather(*(Orders.client().place(f"lamp {number}") for number in range(5)))
        assert await Orders.client().order(orders[2].order_id) == "lamp 2"
        while await Heard.client().count() < 6:
            await asyncio.sleep(0.01)
        assert [each async for each in Orders.client().numbers(3)] == [0, 1, 2]
        assert await Orders.client().first(endless()) == [0, 1]
        innocent.LOCALE.set("pt")
        await Orders.client().locale()
        with pytest.raises(CallError):
            await Orders.client().order(str(uuid.uuid4()))


async def test_by_hand():
    async with running(innocent.system, clock=ManualClock()):
        await Orders.client().place("lamp")


async def test_reaching():
    async with running(innocent.system) as app:
        assert app.instances["orders"].service.placed == {}


async def test_choosing():
    async with running(innocent.system, where="local"):
        await Orders.client().place("lamp")


async def test_off():
    async with running(innocent.system):
        await Orders.client().place("lamp")


def test_alone():
    assert innocent.system.name == "innocent"
