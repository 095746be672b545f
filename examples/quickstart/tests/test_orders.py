"""The shop in one file does what the documentation says."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from meristem import CallError, Code, using
from meristem.config.project import load_object, parse
from meristem.system.placement import Placement
from meristem.system.placement_tables import Resources
from meristem.testing import running
from tests.suites.outage import nats_server

FOLDER = Path(__file__).parents[1]
shop = load_object(parse("orders.py", "the quickstart", FOLDER))


async def test_an_order_takes_its_articles_out_of_the_stock_and_is_counted() -> None:
    async with running(shop.system) as app:
        await shop.Stock.client().deliver("lamp", 3)

        order = await shop.Orders.client().place(shop.PlaceOrder(customer="Ada", article="lamp", count=2))

        assert await shop.Orders.client().order(order.order_id) == order
        assert await shop.Stock.client().left("lamp") == 1
        await app.settled()  # the event was on its way
        assert await app.client(shop.Statistics).sold("lamp") == 2


async def test_events_go_over_a_broker_by_one_line_of_the_placement(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as nats:
        apart = {"statistics": ["statistics"], "rest": ["*"]}
        placement = Placement(processes=apart, resources=Resources(database="sqlite://", bus=nats.url))
        async with running(shop.system, where="processes", placement=placement) as app:
            await shop.Stock.client().deliver("lamp", 3)
            await shop.Orders.client().place(shop.PlaceOrder(customer="Ada", article="lamp", count=2))
            await app.settled(timeout=30)  # it waits for what the broker has, too
            assert await app.client(shop.Statistics).sold("lamp") == 2


async def test_an_order_that_is_refused_late_puts_its_articles_back() -> None:
    async with running(shop.system):
        await shop.Stock.client().deliver("lamp", 500)

        with pytest.raises(shop.LimitReached) as refusal:
            await shop.Orders.client().place(shop.PlaceOrder(customer="Ada", article="lamp", count=101))

        assert refusal.value.limit == shop.LIMIT
        assert await shop.Stock.client().left("lamp") == 500


async def test_an_order_of_more_than_is_left_is_told_how_many_there_are() -> None:
    async with running(shop.system):
        await shop.Stock.client().deliver("lamp", 1)

        with pytest.raises(shop.OutOfStock) as refusal:
            await shop.Orders.client().place(shop.PlaceOrder(customer="Ada", article="lamp", count=2))

        assert refusal.value.left == 1


async def test_an_order_repeated_under_its_key_is_placed_once() -> None:
    async with running(shop.system):
        await shop.Stock.client().deliver("lamp", 5)
        wanted = shop.PlaceOrder(customer="Ada", article="lamp", count=2)

        with using(key="basket-7"):
            first = await shop.Orders.client().place(wanted)
        with using(key="basket-7"):
            again = await shop.Orders.client().place(wanted)

        assert again == first
        assert await shop.Stock.client().left("lamp") == 3


async def test_an_order_that_nobody_placed_is_not_found() -> None:
    async with running(shop.system):
        with pytest.raises(CallError) as refusal:
            await shop.Orders.client().order(uuid4())

        assert refusal.value.code is Code.NOT_FOUND
