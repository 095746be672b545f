"""The examples that the documentation begins with do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest

from meristem import CallError, Code, using
from meristem.config.project import load_object, parse
from meristem.supervision.lifeline import LIFELINE, Lifeline
from meristem.testing.running import running

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1]
shop = load_object(parse("orders.py", "the quickstart", FOLDER))
LINE = Lifeline()  # open as long as this process lives: what it starts ends with it, however it ends
RUNS_AT = re.compile(r"runs at (http://\S+)")


async def test_an_order_takes_its_articles_out_of_the_stock_and_is_counted() -> None:
    async with running(shop.system) as app:
        await shop.Stock.client().deliver("lamp", 3)

        order = await shop.Orders.client().place(shop.PlaceOrder(customer="Ada", article="lamp", count=2))

        assert await shop.Orders.client().order(order.order_id) == order
        assert await shop.Stock.client().left("lamp") == 1
        await app.settled()  # the event was on its way
        assert await app.client(shop.Statistics).sold("lamp") == 2


@pytest.mark.parametrize("where", ["local", "wire"])
async def test_an_order_that_is_refused_late_puts_its_articles_back(where: str) -> None:
    async with running(shop.system, where=where):
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


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `meristem run hosted.py`, in a copy of the folder: one folder runs a system once at a time."""
    folder = tmp_path_factory.mktemp("quickstart")
    for file in FOLDER.glob("*.py"):
        shutil.copy(file, folder)
    command = [sys.executable, "-m", "meristem", "run", "hosted.py", "--port", "0"]
    environment = os.environ | {LIFELINE: str(LINE.reading)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, pass_fds=[LINE.reading], stdout=subprocess.PIPE, text=True
    ) as process:
        patience = threading.Timer(60, process.kill)  # then its output ends
        patience.start()
        try:
            assert process.stdout is not None
            yield next(found[1] for line in process.stdout if (found := RUNS_AT.search(line)))
        finally:
            patience.cancel()
            process.terminate()


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_an_application_of_another_framework_answers_unmodified(hosted: str, app: str) -> None:
    hello = httpx.get(f"{hosted}/{app}/hello/Ada", trust_env=False)

    added = httpx.get(f"{hosted}/{app}/add/2/40", trust_env=False)

    assert "Hello, Ada, from" in hello.text
    assert added.json() == {"sum": 42}


def test_the_service_beside_the_applications_answers_too(hosted: str) -> None:
    assert httpx.get(f"{hosted}/api/hello/Ada", trust_env=False).json() == "Hello, Ada!"
