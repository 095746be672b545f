"""A system whose answers vary from call to call, wherever its services live."""

import random
import uuid
from collections.abc import AsyncIterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Protocol

from meristem import CallError, Code, Contract, Database, Event, Message, Service, System, on, operation, safe

LOCALE = ContextVar("locale", default="en")


class Placed(Event, package="innocent.v1"):
    order_id: str


class Order(Message):
    order_id: str
    at: datetime
    lot: int
    article: str
    colours: list[str]
    names: dict[str, int]


class Orders(Contract, Protocol, package="innocent.v1"):
    @operation
    async def place(self, article: str) -> Order: ...
    @safe
    async def order(self, order_id: str) -> str: ...
    @safe
    def numbers(self, to: int) -> AsyncIterator[int]: ...
    @operation
    async def first(self, numbers: AsyncIterator[int]) -> list[int]: ...
    @safe
    async def locale(self) -> str: ...


class Heard(Contract, Protocol, package="innocent.v1"):
    @safe
    async def count(self) -> int: ...


class OrdersService(Orders, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.placed: dict[str, str] = {}

    async def place(self, article: str) -> Order:
        order_id = str(uuid.uuid4())
        self.placed[order_id] = article
        async with self.database.begin() as tx:
            await tx.publish(Placed(order_id=order_id))
        names = dict.fromkeys({"ann", "bob", "cid"}, 1)
        colours = list({"red", "green", "blue", "white", "black", "pink", "grey"})
        lot, chosen = random.randint(1, 1_000_000), f"a lamp of {random.randint(1, 1000)} candles"
        return Order(order_id=order_id, at=datetime.now(UTC), lot=lot, article=chosen, colours=colours, names=names)

    async def order(self, order_id: str) -> str:
        if order_id not in self.placed:
            raise CallError(Code.NOT_FOUND, f"there is no order {order_id}")
        return self.placed[order_id]

    async def numbers(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    async def first(self, numbers: AsyncIterator[int]) -> list[int]:
        return [await anext(numbers), await anext(numbers)]

    async def locale(self) -> str:
        return LOCALE.get()


class HeardService(Heard, Service):
    def __init__(self) -> None:
        self.heard = 0

    async def count(self) -> int:
        return self.heard

    @on(Placed)
    async def hear(self, event: Placed) -> None:
        self.heard += 1


system = System("innocent", services=[OrdersService, HeardService])
