"""A till, and a counter that charges there for whoever comes: with keys of strangers, signed in or not."""

import asyncio
from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import (
    Contract,
    Database,
    Flow,
    Identity,
    Service,
    System,
    current,
    once,
    operation,
    safe,
    saga,
    using,
)
from meristem.context import Context

tables = MetaData()
CHARGES = Table(
    "charges", tables, Column("id", Integer, primary_key=True), Column("whose", String), Column("key", String)
)


class Opened(Contract, Protocol, package="parity.opened.v1"):
    @once(timeout=20.0)
    async def open(self) -> int: ...


class Till(Opened, Protocol, package="parity.till.v1"):
    @once(timeout=20.0)
    async def charge(self, cents: int) -> str: ...

    @safe
    async def keys_of(self, whose: str) -> list[str]: ...


class Counter(Contract, Protocol, package="parity.counter.v1"):
    @operation(http="POST /buy", timeout=20.0)
    async def buy(self, item: str) -> str: ...

    @operation(http="POST /rent", timeout=20.0)
    async def rent(self, item: str) -> str: ...

    @once(http="POST /order", timeout=20.0)
    async def order(self, item: str) -> str: ...

    @once(http="POST /hire", timeout=20.0)
    async def hire(self, item: str) -> str: ...

    @once(http="POST /own", timeout=20.0, authenticated=True)
    async def own(self, item: str) -> str: ...

    @once(http="POST /reserve", timeout=20.0)
    async def reserve(self, item: str) -> str: ...

    @once(http="POST /sign", timeout=20.0)
    async def sign(self, item: str) -> str: ...

    @operation(timeout=20.0)
    async def opens(self) -> int: ...

    @once(timeout=20.0)
    async def clerk(self, item: str) -> str: ...

    @once(timeout=20.0)
    async def keyed(self, key: str, whose: str | None) -> str: ...

    @safe(http="GET /look")
    async def look(self) -> str: ...

    @once(timeout=20.0)
    async def held(self, item: str) -> str: ...

    @operation
    async def release(self, item: str) -> None: ...


class TillService(Till, Service, tables=tables):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.opened = 0

    async def open(self) -> int:
        self.opened += 1
        return self.opened

    async def charge(self, cents: int) -> str:
        user = current().user
        whose = user.subject if user else "nobody"
        row = insert(CHARGES).values(whose=whose, key=current().key).returning(CHARGES.c.id)
        async with self.database.begin() as tx:
            return f"payment {await tx.fetch_value(row)} of {whose}"

    async def keys_of(self, whose: str) -> list[str]:
        found = select(CHARGES.c.key).where(CHARGES.c.whose == whose).order_by(CHARGES.c.id)
        return await self.database.fetch_all(found, into=str)


class CounterService(Counter, Service):
    def __init__(self, till: Till, database: Database) -> None:
        self.till = till
        self.database = database
        self.gates: dict[str, asyncio.Event] = {}

    async def buy(self, item: str) -> str:
        return f"{item} for {await self.till.charge(1000)}"

    rent = order = hire = own = buy

    @saga
    async def reserve(self, flow: Flow, item: str) -> str:
        return f"{item} for {await self.till.charge(1000)}"

    @saga
    async def sign(self, flow: Flow, item: str) -> str:
        """Tells its key, as whoever is paid learns it."""
        return f"{current().key} for {await self.till.charge(1000)}"

    async def opens(self) -> int:
        """How many times more the till is open after two calls."""
        before = await self.till.open()
        return await self.till.open() - before + 1

    async def clerk(self, item: str) -> str:
        """The till is not told who asked: a clerk goes there for everybody."""
        context = current()
        with using(Context(context.deadline, context.trace, user=Identity("clerk"), keys=context.keys)):
            return await self.buy(item)

    async def keyed(self, key: str, whose: str | None) -> str:
        """A key that this service's own code chooses, for whom it says."""
        with using(Context(user=None if whose is None else Identity(whose), key=key)):
            return await self.buy("goods")

    async def look(self) -> str:
        return str(current().key)

    async def held(self, item: str) -> str:
        await self.gates.setdefault(item, asyncio.Event()).wait()
        return await self.buy(item)

    async def release(self, item: str) -> None:
        self.gates.setdefault(item, asyncio.Event()).set()


async def authenticate(token: str) -> Identity | None:
    return Identity(token)


system = System("counters", services=[TillService, CounterService], authenticate=authenticate)
