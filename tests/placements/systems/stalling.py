"""A service whose database another program locks, one that does not hear that it is to end, and one before another."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, Table, insert, text

from meristem import Contract, Database, Service, System, operation, safe

TABLES = MetaData()
ROWS = Table("rows", TABLES, Column("id", Integer, primary_key=True), Column("n", Integer))


class Ledger(Contract, Protocol, package="stalling.ledger.v1"):
    @operation
    async def lock(self) -> None: ...

    @operation
    async def unlock(self) -> None: ...

    @operation(timeout=0.5)
    async def add(self) -> None: ...

    @operation(timeout=0.5)
    async def add_in_a_unit(self) -> None: ...

    @operation(timeout=30.0)
    async def add_patiently(self) -> None: ...

    @safe
    async def total(self) -> int: ...


class LedgerService(Ledger, Service, tables=TABLES):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.other: sqlite3.Connection | None = None

    async def lock(self) -> None:
        """As a backup tool does."""
        file = await self.database.fetch_value(text("SELECT file FROM pragma_database_list"))
        self.other = sqlite3.connect(file, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    async def unlock(self) -> None:
        if self.other is not None:
            self.other.close()

    async def add(self) -> None:
        await self.database.execute(insert(ROWS), {"n": 1})

    async def add_in_a_unit(self) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(ROWS), {"n": 1})
            await tx.execute(insert(ROWS), {"n": 1})

    async def add_patiently(self) -> None:
        await self.add()

    async def total(self) -> int:
        return int(await self.database.fetch_value(text("SELECT count(*) FROM rows")))


class Deaf(Contract, Protocol, package="stalling.deaf.v1"):
    @safe(timeout=0.4, http="GET /swallow")
    async def swallow(self) -> str: ...

    @safe(timeout=0.4)
    async def swallow_again_and_again(self) -> str: ...

    @safe(timeout=0.4)
    async def raise_another(self) -> str: ...

    @safe(timeout=0.4)
    async def clean_up_slowly(self) -> str: ...

    @operation
    async def let_go(self) -> None: ...

    @safe
    async def cleaned_up(self) -> bool: ...


class DeafService(Deaf, Service):
    cleaned = False

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def swallow(self) -> str:
        with suppress(BaseException):  # library code that catches too much
            await asyncio.sleep(30)
        return "stale"

    async def swallow_again_and_again(self) -> str:
        for _ in range(3):
            with suppress(BaseException):
                await self.may_end.wait()
        return "stale"

    async def raise_another(self) -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise ValueError("the connection was closed") from None
        return "never"

    async def clean_up_slowly(self) -> str:
        self.cleaned = False
        try:
            await asyncio.sleep(30)
        finally:
            await self.may_end.wait()
            self.cleaned = True
        return "never"

    async def let_go(self) -> None:
        self.may_end.set()
        self.may_end = asyncio.Event()

    async def cleaned_up(self) -> bool:
        return self.cleaned


class Front(Contract, Protocol, package="stalling.front.v1"):
    @safe(timeout=0.4)
    async def nap_after_another(self) -> None: ...

    @safe(timeout=0.4)
    async def nap_below_another(self) -> None: ...


class Back(Contract, Protocol, package="stalling.back.v1"):
    @safe(timeout=0.4)
    async def nap(self, seconds: float) -> None: ...


class FrontService(Front, Service):
    def __init__(self, back: Back) -> None:
        self.back = back

    async def nap_after_another(self) -> None:
        await self.back.nap(0.01)
        await self.back.nap(0.01)
        await asyncio.sleep(30)

    async def nap_below_another(self) -> None:
        await self.back.nap(30.0)


class BackService(Back, Service):
    async def nap(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


system = System("stalling", services=[LedgerService, DeafService, FrontService, BackService])
