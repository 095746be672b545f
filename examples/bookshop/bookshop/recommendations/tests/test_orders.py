"""Recommendations beside the shop that sells: its orders are what they learn of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations
from bookshop.customers.tables import FIRST_CUSTOMER
from bookshop.system import SERVICES

from meristem import System
from meristem.testing import RunningSystem

whole = System("bookshop", services=SERVICES)


async def mysteries(app: RunningSystem, customer_id: int) -> list[int]:
    request = RecommendationRequest(user_id=customer_id, category=BookCategory.MYSTERY, max_results=1_000)
    return [each.id for each in (await app.client(Recommendations).recommend(request)).recommendations]


async def test_what_a_customer_has_bought_comes_last_until_it_is_sent_back(open_shop: Callable[..., Any]) -> None:
    async with open_shop(system=whole, recommendations={"readers": 0}) as shop:
        ada = await shop.customer()
        assert ada.customer_id >= FIRST_CUSTOMER  # nobody of the history
        with shop.as_(ada):
            order = await shop.buy(10, 3, 1)
            await shop.app.settled(timeout=60)
            assert set((await mysteries(shop.app, ada.customer_id))[-3:]) == {10, 3, 1}
            await shop.checkout.refund(order.order_id)
        await shop.app.settled(timeout=60)
        assert {10, 3, 1}.isdisjoint((await mysteries(shop.app, ada.customer_id))[-3:])
