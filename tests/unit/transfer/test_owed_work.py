"""An event that is still to be delivered as its publisher is stopped is delivered from the new place, once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import CallError, Code, Contract, Database, Event, Service, System, on, operation
from meristem.system.blueprint import Blueprint
from meristem.testing import running
from meristem.transfer.system_copy import copy_system
from tests.suites.postgresql import DATABASE, SERVER, administrate, require

PATIENCE = 60.0  # seconds for what takes one on an idle machine
METADATA = MetaData()
NOTES = Table("notes", METADATA, Column("id", Integer, primary_key=True), Column("text", String(50), nullable=False))


class Ordered(Event, package="shop.orders.v1", key="text"):
    text: str


class Orders(Contract, Protocol, package="shop.orders.v1"):
    @operation(timeout=PATIENCE)
    async def order(self, text: str) -> None: ...


class Ledger(Contract, Protocol, package="shop.ledger.v1"):
    @operation
    async def idle(self) -> None: ...


class OrdersService(Orders, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def order(self, text: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Ordered(text=text))


class LedgerService(Ledger, Service, tables=METADATA):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def idle(self) -> None: ...

    @on(Ordered)
    async def note(self, event: Ordered) -> None:
        if event.text == "a chair" and not OPEN.is_set():
            HEARD.set()
            raise CallError(Code.UNAVAILABLE, "closed")
        await self.database.execute(insert(NOTES).values(text=event.text))


SYSTEM = System("shop", services=[OrdersService, LedgerService])
OPEN, HEARD = asyncio.Event(), asyncio.Event()


@pytest.fixture
async def schemas() -> AsyncIterator[str]:
    """The URLs of a schema for each service, by its name."""
    require()
    prefix = f"test_{uuid4().hex[:12]}"
    names = [f"{prefix}_{service}" for service in ("orders", "ledger")]
    administrate(*(f"CREATE SCHEMA {name}" for name in names))
    try:
        yield f"{SERVER}/{DATABASE}?schema={prefix}_{{service}}"
    finally:
        administrate(*(f"DROP SCHEMA {name} CASCADE" for name in names))


async def test_what_is_owed_is_done_from_the_new_place(tmp_path: Path, schemas: str):
    OPEN.clear()
    HEARD.clear()
    files = f"sqlite:///{tmp_path}/{{service}}.db"
    async with asyncio.timeout(PATIENCE), running(SYSTEM, database=files) as app:
        await Orders.client().order("a lamp")
        await app.settled()
        await Orders.client().order("a chair")
        await HEARD.wait()

    services = ["orders", "ledger"]
    blueprint = Blueprint(SYSTEM)
    await asyncio.to_thread(
        copy_system, blueprint, tmp_path, services, source=files, target=schemas, tell=lambda *_: None
    )

    OPEN.set()
    async with asyncio.timeout(PATIENCE), running(SYSTEM, database=schemas) as app:
        await app.settled(PATIENCE)
        noted = await app.database("ledger").fetch_all(select(NOTES.c.text).order_by(NOTES.c.id), into=str)
        assert noted == ["a lamp", "a chair"]
