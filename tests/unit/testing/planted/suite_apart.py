"""Each test passes everywhere, and sees something else where the services have a process each."""

from collections.abc import AsyncIterator

import plant
import pytest
from plant import Left, Right

from meristem.testing import running


@pytest.fixture(autouse=True)
async def app() -> AsyncIterator[None]:
    for each in (plant.SEEN, plant.BASKETS, plant.HINTS):
        each.clear()
    plant.PRICES["lamp"]["cents"] = 100
    async with running(plant.system):
        yield


async def test_state():
    await Left.client().count()
    assert await Right.client().count() > 0


async def test_shared_reply():
    await Right.client().discount()
    assert await Left.client().prices()


async def test_changed_argument():
    await Left.client().keep(["lamp"])
    await Right.client().spoil()
    assert await Left.client().kept()


async def test_lost_field():
    await Right.client().advise("lamp")
    with pytest.raises(plant.Refused):
        await Left.client().refuse("lamp")


async def test_event():
    await Right.client().advise("lamp")
    await Left.client().sell("lamp")


async def test_carried():
    await Right.client().advise("lamp")
    await Left.client().note("desk")
    await Left.client().note("lamp")


async def test_failing():
    await Left.client().count()
    assert await Right.client().count() == 2
