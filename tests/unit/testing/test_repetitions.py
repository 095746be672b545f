"""A test that fails under the wire runner is told which calls were repeated on purpose, and what to do about it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHOP = """
from typing import Protocol

from meristem import Contract, Service, System, idempotent, operation, safe
from meristem.testing import running


class Stock(Contract, Protocol, package="shop.v1"):
    @idempotent
    async def deliver(self, item: str, count: int) -> int: ...

    @safe
    async def left(self, item: str) -> int: ...

    @operation
    async def sell(self, item: str) -> None: ...


class StockService(Stock, Service):
    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    async def deliver(self, item: str, count: int) -> int:
        self.items[item] = self.items.get(item, 0) + count
        return self.items[item]

    async def left(self, item: str) -> int:
        return self.items.get(item, 0)

    async def sell(self, item: str) -> None:
        self.items[item] -= 1


SYSTEM = System("shop", services=[StockService])
"""
TESTS = """
import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def app():
    async with running(SYSTEM, where="wire") as app:
        yield app


async def test_what_is_asserted_within(app):
    stock = app.client(Stock)
    await stock.deliver("chair", 5)
    await stock.sell("chair")
    assert await stock.left("chair") == 4


async def test_what_is_asserted_afterwards():
    async with running(SYSTEM, where="wire") as app:
        left = await app.client(Stock).left("chair")
    assert left == 1


async def test_what_passes(app):
    assert await app.client(Stock).left("chair") == 0


async def test_without_the_wire():
    async with running(SYSTEM) as app:
        assert await app.client(Stock).left("chair") == 1
"""
SCRIPT = """
import asyncio


async def main():
    async with running(SYSTEM, where="wire") as app:
        for _ in range(2):
            await app.client(Stock).deliver("chair", 5)
        raise ValueError("twenty chairs")


asyncio.run(main())
"""
SECTION = "Meristem: calls sent twice on purpose"


def run(folder: Path, text: str, *command: str) -> str:
    (folder / "test_shop.py").write_text(SHOP + text)
    ended: Any = subprocess.run(
        [sys.executable, *command, "test_shop.py"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 1, ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The output of pytest, by test that failed."""
    told = run(
        tmp_path_factory.mktemp("shop"), TESTS, "-m", "pytest", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"
    )
    assert "3 failed, 1 passed" in told
    parts = told.split("short test summary")[0].split("____ test_")[1:]
    return {part.split(" ")[0]: part for part in parts}


def test_pytest_shows_what_was_repeated_and_the_likeliest_with_its_remedy(report):
    told = report["what_is_asserted_within"]
    assert SECTION in told
    assert (
        "Stock.deliver (@idempotent) was sent twice on purpose: 1 call; one was answered by 5, and then by 10" in told
    )
    assert "Stock.left (@safe) was sent twice on purpose: 1 call, the last before the failure" in told
    assert "most likely Stock.deliver: make it idempotent" in told
    assert "Deliveries" not in told
    assert "Stock.sell" not in told.split(SECTION)[1]


def test_it_does_so_when_the_system_has_ended_and_of_that_test_alone(report):
    told = report["what_is_asserted_afterwards"].split(SECTION)[1]
    assert "Stock.left (@safe) was sent twice on purpose: 1 call, the last before the failure" in told
    assert "Stock.deliver" not in told


def test_it_says_nothing_where_nothing_was_repeated(report):
    assert SECTION not in report["without_the_wire"]


def test_the_plugin_costs_tests_of_other_projects_no_import_of_a_system():
    imported = "import sys, meristem.testing.pytest_plugin; print('meristem.runtime.assembly' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, timeout=100, check=True)
    assert told.stdout == "False\n"


def test_without_pytest_the_error_itself_says_it(tmp_path):
    told = run(tmp_path, SCRIPT).partition("ValueError: twenty chairs\n")[2]
    assert "Stock.deliver (@idempotent) was sent twice on purpose: 2 calls, the last before the failure" in told
    assert "one was answered by 15, and then by 20" in told
