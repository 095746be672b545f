"""A system of two services in a folder of its own, its backup, and another folder for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import Contract, Database, Event, Service, System, on, once
from meristem.backup.copying import take
from meristem.backup.manifest import Manifest
from meristem.backup.restoring import Restored, restore
from meristem.backup.staging import verify
from meristem.system.blueprint import Blueprint
from meristem.system.state_directory import StateDirectory
from meristem.testing import running

NAMES = ("orders", "ledger")


def metadata(name: str) -> MetaData:
    made = MetaData()
    Table(name, made, Column("id", Integer, primary_key=True), Column("text", String(50), nullable=False))
    return made


ORDERS, LEDGER = metadata("orders"), metadata("ledger")


class Ordered(Event, package="shop.orders.v1", key="text"):
    text: str


class Orders(Contract, Protocol, package="shop.orders.v1"):
    @once(timeout=60.0)
    async def order(self, text: str) -> None: ...


class Ledger(Contract, Protocol, package="shop.ledger.v1"):
    @once(timeout=60.0)
    async def note(self, text: str) -> None: ...


class OrdersService(Orders, Service, tables=ORDERS):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def order(self, text: str) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(ORDERS.tables["orders"]).values(text=text))
            await tx.publish(Ordered(text=text))


class LedgerService(Ledger, Service, tables=LEDGER):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def note(self, text: str) -> None:
        await self.database.execute(insert(LEDGER.tables["ledger"]).values(text=text))

    @on(Ordered)
    async def hear(self, event: Ordered) -> None:
        await self.note(event.text)


SYSTEM = System("shop", services=[OrdersService, LedgerService])
BLUEPRINT = Blueprint(SYSTEM)


class Shop:
    """The system in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = StateDirectory(folder, "shop")
        self.environment: dict[str, str] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Any]:
        self.state.prepare()
        self.state.secret(self.environment)
        url = f"sqlite:///{self.state.path}/{{service}}.db"
        async with asyncio.timeout(60), running(SYSTEM, database=url) as app:
            yield app

    async def filled(self, *texts: str) -> None:
        async with self.running() as app:
            for text in texts:
                await Orders.client().order(text)
            await app.settled()

    async def texts(self, name: str) -> list[str]:
        """What a service keeps, which is opened by the release that runs."""
        async with self.running() as app:
            await app.settled()
            table = (ORDERS if name == "orders" else LEDGER).tables[name]
            return await app.database(name).fetch_all(select(table.c.text).order_by(table.c.id), into=str)

    def file(self, name: str) -> Path:
        return self.state.path / f"{name}.db"

    def take(self, to: Path, blueprint: Blueprint = BLUEPRINT, **options: Any) -> Manifest:
        return take(blueprint, self.folder, to, environment=self.environment, tell=lambda *_: None, **options)

    def restore(self, backup: Path, blueprint: Blueprint = BLUEPRINT, **options: Any) -> Restored:
        return restore(blueprint, self.folder, backup, environment=self.environment, tell=lambda *_: None, **options)

    def verify(self, backup: Path) -> dict[str, list[str]]:
        return verify(BLUEPRINT, self.folder, backup, lambda *_: None)


async def of_thread(work: Any, *arguments: Any, **options: Any) -> Any:
    """As the command does it, outside of the loop."""
    return await asyncio.to_thread(work, *arguments, **options)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def other(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "other")


@pytest.fixture
async def backup(shop: Shop, tmp_path: Path) -> Path:
    """One of a shop with two orders, which the ledger knows."""
    await shop.filled("a lamp", "a chair")
    await of_thread(shop.take, tmp_path / "backup")
    return tmp_path / "backup"


def files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]
