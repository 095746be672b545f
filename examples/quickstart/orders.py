"""A shop in one file: a saga that places orders, stock that is taken once, and an event that a third service hears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta
from sqlalchemy import Column, Integer, MetaData, String, Table, Uuid, bindparam, func, insert, select, update

from meristem import (
    About,
    CallError,
    Code,
    Contract,
    Database,
    Event,
    Fault,
    Flow,
    Message,
    Service,
    System,
    idempotent,
    on,
    once,
    safe,
    saga,
)

Count = Annotated[int, Meta(ge=1, le=1000)]
Article = Annotated[str, Meta(max_length=80, examples=["lamp"])]
Customer = Annotated[str, Meta(min_length=1, max_length=80, examples=["Ada"])]

# What the services may know of one another


class OutOfStock(Fault, code=Code.FAILED_PRECONDITION):
    """Too few are left."""

    left: int


class LimitReached(Fault, code=Code.RESOURCE_EXHAUSTED):
    """The customer has ordered as much as one may."""

    limit: int


class Taken(Message):
    """Articles taken out of the stock."""

    article: str
    count: int


class Order(Message):
    """An order that was accepted."""

    order_id: UUID
    customer: str
    article: str
    count: int


class PlaceOrder(Message):
    """What a customer asks for."""

    customer: Customer
    article: Article
    count: Count = 1


class OrderPlaced(Event, package="shop.orders.v1", key="article"):
    """An order was accepted."""

    article: str
    count: int


class Stock(Contract, Protocol, package="shop.stock.v1"):
    """Knows what is left."""

    @once(raises=[OutOfStock])
    async def take(self, article: str, count: Count) -> Taken:
        """Take articles out, or refuse; a repeated call takes them out once."""
        ...

    @once
    async def put_back(self, taken: Taken) -> None: ...

    @idempotent
    async def deliver(self, article: str, count: Count) -> None:
        """Say how many there are."""
        ...

    @safe(http="GET /stock/{article}")
    async def left(self, article: Article) -> int:
        """How many there are."""
        ...


class Orders(Contract, Protocol, package="shop.orders.v1"):
    """Takes orders."""

    @once(http="POST /orders", status=201, raises=[OutOfStock, LimitReached], timeout=10.0)
    async def place(self, order: PlaceOrder) -> Order:
        """Order articles: they are taken out of the stock, and the order is accepted."""
        ...

    @safe(http="GET /orders/{order_id}")
    async def order(self, order_id: UUID) -> Order:
        """An order that was accepted."""
        ...


class Statistics(Contract, Protocol, package="shop.statistics.v1"):
    """Counts what is sold."""

    @safe(http="GET /statistics/{article}")
    async def sold(self, article: Article) -> int:
        """How many were ordered so far."""
        ...


# Stock: its own table, in its own database

stock = MetaData()
ARTICLES = Table(
    "articles", stock, Column("article", String(80), primary_key=True), Column("left", Integer, nullable=False)
)
LEFT = select(ARTICLES.c.left).where(ARTICLES.c.article == bindparam("wanted"))
ADD = update(ARTICLES).where(ARTICLES.c.article == bindparam("wanted")).values(left=ARTICLES.c.left + bindparam("more"))


@dataclass
class StockService(Stock, Service, tables=stock):
    """Never gives the last one away twice: the read and the write are one transaction."""

    database: Database

    async def take(self, article: str, count: Count) -> Taken:
        async with self.database.begin() as tx:
            left = await tx.fetch_value(LEFT, {"wanted": article}) or 0
            if left < count:
                raise OutOfStock(left=left)
            await tx.execute(ADD, {"wanted": article, "more": -count})
        return Taken(article=article, count=count)

    async def put_back(self, taken: Taken) -> None:
        await self.database.execute(ADD, {"wanted": taken.article, "more": taken.count})

    async def deliver(self, article: str, count: Count) -> None:
        async with self.database.begin() as tx:
            known = await tx.execute(
                update(ARTICLES).where(ARTICLES.c.article == bindparam("wanted")),
                {"wanted": article, "left": count},
            )
            if not known.rowcount:
                await tx.execute(insert(ARTICLES), {"article": article, "left": count})

    async def left(self, article: str) -> int:
        return await self.database.fetch_value(LEFT, {"wanted": article}) or 0


# Orders: a saga ties stock and order together

orders = MetaData()
ORDERS = Table(
    "orders",
    orders,
    Column("order_id", Uuid, primary_key=True),
    Column("customer", String(80), nullable=False, index=True),
    Column("article", String(80), nullable=False),
    Column("count", Integer, nullable=False),
)
ONE = select(ORDERS).where(ORDERS.c.order_id == bindparam("wanted"))
ORDERED = select(func.coalesce(func.sum(ORDERS.c["count"]), 0)).where(ORDERS.c.customer == bindparam("who"))
LIMIT = 100


@dataclass
class OrdersService(Orders, Service, tables=orders):
    """An order ends either accepted, or with the articles back in the stock."""

    stock: Stock
    database: Database

    @saga
    async def place(self, flow: Flow, order: PlaceOrder) -> Order:
        await flow.with_undo(self.stock.take(order.article, order.count), self.stock.put_back)
        return await flow.step(self.accept, flow.uuid(), order)

    async def accept(self, order_id: UUID, wanted: PlaceOrder) -> Order:
        """A step of the saga: it commits together with its place in the journal, and with the event."""
        order = Order(order_id=order_id, customer=wanted.customer, article=wanted.article, count=wanted.count)
        async with self.database.begin() as tx:
            if await tx.fetch_value(ORDERED, {"who": order.customer}) + order.count > LIMIT:
                raise LimitReached(limit=LIMIT)
            values = {"order_id": order_id, "customer": order.customer, "article": order.article, "count": order.count}
            await tx.execute(insert(ORDERS), values)
            await tx.publish(OrderPlaced(article=order.article, count=order.count))
        return order

    async def order(self, order_id: UUID) -> Order:
        found = await self.database.fetch_one(ONE, {"wanted": order_id}, into=Order)
        if found is None:
            raise CallError(Code.NOT_FOUND, f"there is no order {order_id}", may_have_happened=False)
        return found


# Statistics: hears of orders without being asked

statistics = MetaData()
SALES = Table(
    "sales",
    statistics,
    Column("id", Integer, primary_key=True),
    Column("article", String(80)),
    Column("count", Integer),
)
SOLD = select(func.coalesce(func.sum(SALES.c["count"]), 0)).where(SALES.c.article == bindparam("wanted"))


@dataclass
class StatisticsService(Statistics, Service, tables=statistics):
    """Counts each event once, however often it is delivered."""

    database: Database

    @on(OrderPlaced)
    async def count(self, event: OrderPlaced) -> None:
        """Write the sale down."""
        await self.database.execute(insert(SALES), {"article": event.article, "count": event.count})

    async def sold(self, article: str) -> int:
        return int(await self.database.fetch_value(SOLD, {"wanted": article}))


system = System(
    "shop",
    services=[StockService, OrdersService, StatisticsService],
    about=About(description="A shop in one file.", contact="ada@shop.example"),
)
