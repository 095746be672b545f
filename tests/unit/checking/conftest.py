"""A bazaar of two services and an app, written into a folder of its own, and checked without being imported."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from meristem.checking.check import check
from meristem.checking.check_options import CheckOptions
from meristem.checking.finding import Finding
from meristem.events.policy import DEFAULT
from meristem.system.plan import AppPlan, Plan, ServicePlan

BAZAAR = {
    "bazaar/__init__.py": "",
    "bazaar/system.py": """
        from meristem import App, System
        system = System("bazaar", services=["bazaar.stock.service:StockService", "bazaar.orders.service:OrdersService"],
                        apps=[App("web", "bazaar.web.app:app")])
    """,
    "bazaar/contracts.py": """
        from typing import Protocol
        from meristem import Contract, Event, Message, safe

        class Taken(Message):
            article: str

        class OrderPlaced(Event, package="bazaar.orders.v1"):
            article: str

        class Stock(Contract, Protocol, package="bazaar.stock.v1"):
            @safe
            async def left(self, article: str) -> int: ...

        class Orders(Contract, Protocol, package="bazaar.orders.v1"):
            @safe
            async def count(self) -> int: ...
    """,
    "bazaar/common/__init__.py": "",
    "bazaar/stock/__init__.py": "",
    "bazaar/stock/tables.py": """
        from sqlalchemy import Column, Integer, MetaData, Table
        metadata = MetaData()
        articles = Table("articles", metadata, Column("id", Integer, primary_key=True))
    """,
    "bazaar/stock/service.py": """
        from bazaar.contracts import Stock
        from bazaar.stock.tables import articles, metadata
        from meristem import Database, Service

        class StockService(Stock, Service, tables=metadata):
            def __init__(self, database: Database) -> None:
                self.database = database

            async def left(self, article: str) -> int:
                return len(await self.database.fetch_all(articles.select()))
    """,
    "bazaar/orders/__init__.py": "",
    "bazaar/orders/service.py": """
        from bazaar.contracts import Orders, Stock
        from meristem import Service

        class OrdersService(Orders, Service):
            def __init__(self, stock: Stock) -> None:
                self.stock = stock

            async def count(self) -> int:
                return await self.stock.left("lamp")
    """,
    "bazaar/web/__init__.py": "",
    "bazaar/web/app.py": """
        from quart import Quart
        from bazaar.contracts import Orders

        app = Quart(__name__)

        @app.get("/")
        async def index() -> str:
            return str(await Orders.client().count())
    """,
}
PLAN = Plan(
    "bazaar",
    (
        ServicePlan(
            "stock", "bazaar.stock.service:StockService", {"bazaar.stock.v1.Stock": "bazaar.contracts:Stock"}, (), (),
            {"bazaar.orders.v1.OrderPlaced": DEFAULT}, (), database=True,
        ),
        ServicePlan(
            "orders", "bazaar.orders.service:OrdersService", {"bazaar.orders.v1.Orders": "bazaar.contracts:Orders"},
            (), ("stock",), {}, (), database=False,
        ),
    ),
    (AppPlan("web", "bazaar.web.app:app", "/"),),
    (),
    (),
)  # fmt: skip

Files = dict[str, str]
Checking = Callable[..., list[Finding]]


def written(folder: Path, files: Files) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))


@pytest.fixture
def checking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checking:
    """Checks the bazaar with the files that are given beside it or instead of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(files: Files, *, plan: Plan = PLAN, options: CheckOptions | None = None) -> list[Finding]:
        written(tmp_path, BAZAAR | files)
        return check(plan, "bazaar.system", tmp_path, options)

    return run
