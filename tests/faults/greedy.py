"""A shop that confirms orders, and documents that may take all they can get: memory and processors."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Column, Integer, MetaData, Table, insert

from meristem import Contract, Database, Event, Service, System, on, operation

GREEDY: Final = "TEST_GREEDY"  # the variable that names a file: while it is there, documents are greedy
TRANSACTIONS: Final = 20  # of an order, as a booking of the hotel site has
TABLES: Final = MetaData()
ORDERS: Final = Table("orders", TABLES, Column("id", Integer, primary_key=True), Column("number", Integer))


class OrderPlaced(Event, package="greedy.orders.v1", key="number"):
    number: int


class Orders(Contract, Protocol, package="greedy.orders.v1"):
    @operation(timeout=30.0)
    async def place(self, number: int) -> int: ...


class OrdersService(Orders, Service, tables=TABLES):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def place(self, number: int) -> int:
        for _ in range(TRANSACTIONS - 1):
            async with self.database.begin() as tx:
                await tx.execute(insert(ORDERS), {"number": number})
        async with self.database.begin() as tx:
            await tx.execute(insert(ORDERS), {"number": number})
            await tx.publish(OrderPlaced(number=number))
        return number


class Documents(Contract, Protocol, package="greedy.documents.v1"):
    @operation
    async def count(self) -> int: ...


class DocumentsService(Documents, Service):
    def __init__(self, database: Database) -> None:
        self.written = 0

    async def start(self) -> None:
        for work in (_spin, _spin, _leak):
            threading.Thread(target=work, daemon=True).start()

    async def count(self) -> int:
        return self.written

    @on(OrderPlaced)
    async def write(self, event: OrderPlaced) -> None:
        self.written += event.number >= 0


def _is_greedy() -> bool:
    return Path(os.environ[GREEDY]).exists()


def _spin() -> None:
    """Processes of its own, as one interpreter runs one thread at a time."""
    while True:
        if _is_greedy() and not (pid := os.fork()):
            while _is_greedy():
                sum(range(100_000))
            os._exit(0)
        elif _is_greedy():
            os.waitpid(pid, 0)
        time.sleep(0.05)


def _leak() -> None:
    held: list[Any] = []
    while True:
        if _is_greedy():
            held.append(b"x" * (4 << 20))
        time.sleep(0.05)


system = System("greedy", services=[OrdersService, DocumentsService])
