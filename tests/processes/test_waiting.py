"""While the only replica of a process starts anew, those who call it wait for it within their deadline."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, meristem, told

SHOP = """
from pathlib import Path
from typing import Protocol

from meristem import Contract, Service, System, once, safe

class Stock(Contract, Protocol, package="shop.stock.v1"):
    @safe(timeout=30.0)
    async def left(self, item: str) -> int: ...
    @once(timeout=30.0)
    async def take(self, item: str) -> int: ...

class Orders(Contract, Protocol, package="shop.orders.v1"):
    @safe(http="GET /left/{item}", timeout=30.0)
    async def left(self, item: str) -> int: ...
    @once(http="POST /orders", timeout=30.0)
    async def order(self, item: str) -> int: ...

class StockService(Stock, Service):
    async def start(self) -> None:
        if Path("broken").exists():
            raise RuntimeError("it will not start")
    async def left(self, item: str) -> int:
        return 7
    async def take(self, item: str) -> int:
        return 1

class OrdersService(Orders, Service):
    def __init__(self, stock: Stock) -> None:
        self.stock = stock
    async def left(self, item: str) -> int:
        return await self.stock.left(item)
    async def order(self, item: str) -> int:
        return await self.stock.take(item)

system = System("shop", services=[OrdersService, StockService])
"""
SPLIT = '[processes]\norders = ["orders"]\nstock = { services = ["stock"], overlap = false }\n'
SPLIT += "[supervision]\naway = 60.0\n"  # a start takes long on a busy machine
BY_GRPC = '[policies.stock]\ntransport = "grpc"\n'


@pytest.fixture(params=["http", "grpc"], autouse=True)
def placement(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Everything holds however the orders call the stock."""
    (tmp_path / "split.toml").write_text(SPLIT if request.param == "http" else f"{SPLIT}{BY_GRPC}")


@asynccontextmanager
async def opened(directory: Path, ended: list[Command]) -> AsyncIterator[tuple[Command, httpx.AsyncClient]]:
    (directory / "shop.py").write_text(SHOP)
    run = await meristem(directory, "run", "shop.py", "--placement", "split.toml", "--port", str(free_port()))
    ended.append(run)
    address = next(word for word in (await run.shows("shop runs at")).split() if word.startswith("http://"))
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        yield run, web


async def stock_of(directory: Path) -> int:
    _, shown = await told(directory, "ps", "shop.py", "--json")
    return int(next(row["pid"] for row in json.loads(shown) if row["name"] == "stock"))


class Visitors:
    """Call one after the other, each as soon as it has its answer, until `stop`; `told` counts the answers."""

    def __init__(self, web: httpx.AsyncClient, many: int) -> None:
        self.told: Counter[str] = Counter()
        self._stopped = False
        self._web = web
        self._tasks = [asyncio.create_task(self._visit(number)) for number in range(many)]

    async def _visit(self, number: int) -> None:
        while not self._stopped:
            if number % 2:
                answer = await self._web.get("/api/left/chair")
            else:
                answer = await self._web.post("/api/orders", json={"item": "chair"})
            self.told[f"{answer.status_code} {'' if answer.is_success else answer.text}".strip()] += 1

    async def stop(self) -> Counter[str]:
        self._stopped = True
        await asyncio.gather(*self._tasks)
        return self.told


async def test_no_call_is_refused_while_the_only_replica_is_killed_and_comes_back(tmp_path: Path, ended: list[Command]):
    async with opened(tmp_path, ended) as (run, web):
        visitors = Visitors(web, 8)
        for kill in range(1, 3):
            os.kill(await stock_of(tmp_path), signal.SIGKILL)
            await run.shows("stock-0 is ready again", kill)
        answers = await visitors.stop()

    assert set(answers) == {"200"}, (answers, run.text)


async def test_no_call_is_refused_by_a_reload_that_ends_the_old_one_first(tmp_path: Path, ended: list[Command]):
    async with opened(tmp_path, ended) as (run, web):
        visitors = Visitors(web, 8)
        code, said = await told(tmp_path, "reload", "shop.py", "--wait")
        answers = await visitors.stop()

    assert code == 0, said
    assert set(answers) == {"200"}, (answers, run.text)


async def test_what_fails_again_and_again_is_refused_rather_than_waited_for(tmp_path: Path, ended: list[Command]):
    async with opened(tmp_path, ended) as (run, web):
        (tmp_path / "broken").touch()
        os.kill(await stock_of(tmp_path), signal.SIGKILL)
        await run.shows("stock-0 ended (exit code 1)", 2)
        refused = await web.get("/api/left/chair")
        (tmp_path / "broken").unlink()
        await run.shows("stock-0 is ready again")
        async with asyncio.timeout(PATIENCE):  # the breaker lets a probe through after a while
            while (served := await web.get("/api/left/chair")).status_code != 200:
                await asyncio.sleep(0.1)

    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), (
        refused.text
    )  # at its deadline it would be 504
    assert served.json() == 7
