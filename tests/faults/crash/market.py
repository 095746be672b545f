"""A system that is killed: an order takes articles by a call, is entered with its event in a saga, and is counted.

With MARKET_BUG set the event is sent by a transaction of its own, the mistake that the matrix has to find.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Uuid, func, insert, select

from meristem import Contract, Database, Event, Flow, Service, System, on, once, safe, saga


class Ordered(Event, package="market.orders.v1"):
    """An order was entered."""

    order_id: UUID
    count: int


class Stock(Contract, Protocol, package="market.stock.v1"):
    @once(timeout=10.0)
    async def take(self, count: int) -> int: ...

    @once(timeout=10.0)
    async def put_back(self, count: int) -> None: ...

    @safe(http="GET /taken")
    async def taken(self) -> int: ...


class Orders(Contract, Protocol, package="market.orders.v1"):
    @once(http="POST /orders", timeout=30.0)
    async def place(self, count: int) -> UUID: ...

    @safe(http="GET /orders")
    async def entered(self) -> dict[str, int]: ...


class Sales(Contract, Protocol, package="market.sales.v1"):
    @safe(http="GET /sold")
    async def sold(self) -> dict[str, list[int]]: ...


def table(name: str, metadata: MetaData, *columns: Column[Any]) -> Table:
    number = BigInteger().with_variant(Integer, "sqlite")
    return Table(name, metadata, Column("number", number, primary_key=True, autoincrement=True), *columns)


stock, orders, sales = MetaData(), MetaData(), MetaData()
MOVES = table("moves", stock, Column("count", Integer, nullable=False))
ORDERS = table("orders", orders, Column("order_id", Uuid, nullable=False), Column("count", Integer, nullable=False))
SALES = table("sales", sales, Column("order_id", Uuid, nullable=False), Column("count", Integer, nullable=False))
SENDING: set[asyncio.Task[None]] = set()
TAKEN = select(func.coalesce(func.sum(MOVES.c["count"]), 0))


@dataclass
class StockService(Stock, Service, tables=stock):
    database: Database

    async def take(self, count: int) -> int:
        await self.database.execute(insert(MOVES), {"count": count})
        return count

    async def put_back(self, count: int) -> None:
        await self.database.execute(insert(MOVES), {"count": -count})

    async def taken(self) -> int:
        return int(await self.database.fetch_value(TAKEN))


@dataclass
class OrdersService(Orders, Service, tables=orders):
    stock: Stock
    database: Database

    @saga
    async def place(self, flow: Flow, count: int) -> UUID:
        taken = await flow.with_undo(self.stock.take(count), self.stock.put_back)
        return await flow.step(self.enter, flow.uuid(), taken)

    async def enter(self, order_id: UUID, count: int) -> UUID:
        """The order and its event, in one transaction unless the mistake is made."""
        event = Ordered(order_id=order_id, count=count)
        async with self.database.begin() as tx:
            await tx.execute(insert(ORDERS), {"order_id": order_id, "count": count})
            if os.environ.get("MARKET_BUG"):
                tx.after_commit(lambda: SENDING.add(asyncio.create_task(self.send(event), context=Context())))
            else:
                await tx.publish(event)
        return order_id

    async def send(self, event: Ordered) -> None:
        """The mistake: whoever dies between the two transactions has an order that nobody hears of."""
        async with self.database.begin() as tx:
            await tx.publish(event)

    async def entered(self) -> dict[str, int]:
        rows = await self.database.fetch_all(select(ORDERS.c.order_id, ORDERS.c["count"]))
        return {str(row["order_id"]): row["count"] for row in rows}


@dataclass
class SalesService(Sales, Service, tables=sales):
    database: Database

    @on(Ordered)
    async def count(self, event: Ordered) -> None:
        await self.database.execute(insert(SALES), {"order_id": event.order_id, "count": event.count})

    async def sold(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in await self.database.fetch_all(select(SALES.c.order_id, SALES.c["count"])):
            found.setdefault(str(row["order_id"]), []).append(row["count"])
        return found


system = System("market", services=[StockService, OrdersService, SalesService])
