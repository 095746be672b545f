"""A system in one file: each class, its table and its app are a part's own, all else is nobody's."""

from pathlib import Path

import pytest

from meristem.checking.check import check
from meristem.system.plan import AppPlan, Plan, ServicePlan

from .conftest import written

FILE = """
from sqlalchemy import Column, Integer, MetaData, Table
from quart import Quart
from meristem import App, Service, System

stock = MetaData()
ARTICLES = Table("articles", stock, Column("id", Integer))
COUNT = ARTICLES.select()
SEEN = []
app = Quart(__name__)

class StockService(Service, tables=stock):
    async def left(self):
        return COUNT

class OrdersService(Service):
    async def count(self):
        {orders}

@app.get("/")
async def index():
    {web}

system = System("shop", services=[StockService, OrdersService], apps=[App("web", app)])
"""
PLAN = Plan(
    "shop",
    (
        ServicePlan("stock", "emporium:StockService", {}, (), (), {}, (), database=True),
        ServicePlan("orders", "emporium:OrdersService", {}, (), (), {}, (), database=False),
    ),
    (AppPlan("web", "emporium:app", "/"),),
    (),
    (),
)


@pytest.mark.parametrize(
    ("orders", "web", "found"),
    [
        ("pass", "pass", []),
        ("SEEN.append(1)", "pass", []),
        ("SEEN.append(1)", "return len(SEEN)", [("state", 8, ("orders", "web"))]),
        ("return COUNT", "pass", [("table", 17, ("orders", "stock"))]),
        ("return ARTICLES.c", "pass", [("table", 17, ("orders", "stock"))]),
        ("pass", "StockService().left()", [("class", 21, ("web", "stock"))]),
        ("return 'SELECT 1 FROM articles'", "pass", [("sql", 17, ("orders", "stock"))]),
    ],
)
def test_what_crosses_within_one_file_is_found(orders: str, web: str, found, tmp_path: Path):
    written(tmp_path, {"emporium.py": FILE.format(orders=orders, web=web)})

    assert [(each.rule, each.line, each.parts) for each in check(PLAN, "emporium.system", tmp_path)] == found


def test_two_services_with_one_metadata_are_told(tmp_path: Path):
    text = FILE.replace("OrdersService(Service)", "OrdersService(Service, tables=stock)")
    written(tmp_path, {"emporium.py": text.format(orders="pass", web="pass")})

    (finding,) = check(PLAN, "emporium.system", tmp_path)

    assert (finding.rule, finding.line, set(finding.parts)) == ("table", 5, {"stock", "orders"})
