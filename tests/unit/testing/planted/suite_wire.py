"""Each test passes everywhere, and sees something else over a wire."""

import asyncio

import plant
from plant import Left

from meristem.testing import running


async def test_order_of_calls():
    async with running(plant.system):
        put = asyncio.ensure_future(Left.client().put("new"))
        await asyncio.sleep(0)
        await Left.client().look()
        await put


async def test_question_that_counts():
    async with running(plant.system):
        assert await Left.client().asked()
