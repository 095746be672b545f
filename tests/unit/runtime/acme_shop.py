"""A shop in two processes whose placement names adapters of an installed package: `acme_shop.py FOLDER`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from meristem import Contract, Database, Event, Service, System, connect, on, once, safe
from meristem.discovery.static import StaticResolver
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Resources


class Ordered(Event, package="shop.v1", key="item"):
    item: str


class Stock(Contract, Protocol, package="shop.stock.v1"):
    @safe
    async def left(self, item: str) -> int: ...

    @safe
    async def taken(self) -> int: ...


class Orders(Contract, Protocol, package="shop.orders.v1"):
    @once
    async def order(self, item: str) -> int: ...


def table(name: str) -> Table:
    return Table(name, MetaData(), Column("id", Integer, primary_key=True), Column("item", String(20)))


ORDERS, TAKEN = table("orders"), table("taken")
COUNT = select(func.count()).select_from(TAKEN)


class StockService(Stock, Service, tables=TAKEN.metadata):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def left(self, item: str) -> int:
        return 3

    async def taken(self) -> int:
        return int(await self.database.fetch_value(COUNT))

    @on(Ordered)
    async def take(self, event: Ordered) -> None:
        await self.database.execute(insert(TAKEN), {"item": event.item})


class OrdersService(Orders, Service, tables=ORDERS.metadata):
    def __init__(self, stock: Stock, database: Database) -> None:
        self.stock = stock
        self.database = database

    async def order(self, item: str) -> int:
        left = await self.stock.left(item)
        async with self.database.begin() as tx:
            await tx.execute(insert(ORDERS), {"item": item})
            await tx.publish(Ordered(item=item))
        return left


async def use(address: str, secret: str) -> int:
    """Order from outside."""
    async with connect(address, service="buyer", secret=secret) as shop:
        return await shop.client(Orders).order("tea")


async def main(folder: Path) -> dict[str, Any]:
    resources = Resources(database="acme:data/{service}", bus="acme://broker")
    system = System("shop", services=[StockService, OrdersService])
    placement = Placement(processes={"stock": ("stock",), "orders": ("orders",)}, resources=resources)
    blueprint, secret = Blueprint(system, placement), new_secret().hex()
    tokens = Tokens(secret.encode())
    assert "acme" not in sys.modules  # a plan is made without it

    resolver = StaticResolver({name: [f"acme:{folder}/{name}.sock"] for name in placement.processes})
    options = Options(environment={}, directory=folder, resolver=resolver, sign=tokens.prove)
    stock, orders = (
        Process(
            blueprint, name, options=options, listen=[Listen(f"unix:{folder}/{name}.sock", public=False)], tokens=tokens
        )
        for name in placement.processes
    )
    for process in (stock, orders):
        await process.start()
    try:
        answer = await use(f"acme:{folder}/orders.sock", secret)
        storage = orders.assembly.instances["orders"].storage
        assert storage is not None
        await storage.settle()
        taken = await orders.assembly.client(Stock).taken()
        await orders.drain()
    finally:
        await orders.stop()
        await stock.stop()
    import acme  # noqa: PLC0415 - what the adapters were loaded from

    spans = [*stock.assembly.telemetry.recent.spans(), *orders.assembly.telemetry.recent.spans()]
    return {
        "answer": answer,
        "taken": taken,
        "life": acme.LIFE,
        "calls": acme.CALLS,
        "systems": sorted({span.attributes["db.system.name"] for span in spans if "db.system.name" in span.attributes}),
    }


print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
