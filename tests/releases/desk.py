"""A desk that sells with sagas, and a ledger that it calls and that hears of it; the ledger can be told to hang."""

import asyncio
import os
from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Event,
    Fault,
    Flow,
    Service,
    System,
    Undeliverable,
    idempotent,
    on,
    once,
    operation,
    safe,
    saga,
)

SECRET = b"the processes of the desk share it, whatever their release"
desk_tables = MetaData()
NOTES = Table("notes", desk_tables, Column("id", Integer, primary_key=True), Column("text", String))
ledger_tables = MetaData()
ENTRIES = Table("entries", ledger_tables, Column("id", Integer, primary_key=True), Column("text", String))


class SoldOut(Fault):
    item: str


class Noted(Event, package="desk.v1", key="text"):
    text: str


class Paid(Event, package="desk.v1", key="item"):
    item: str


class Ledger(Contract, Protocol, package="desk.ledger.v1"):
    @once(timeout=600.0)
    async def book(self, text: str) -> int: ...

    @idempotent(timeout=600.0)
    async def strike(self, number: int) -> None: ...

    @safe()
    async def entries(self) -> list[str]: ...


class Desk(Contract, Protocol, package="desk.v1"):
    @once(timeout=600.0)
    async def note(self, text: str) -> int: ...

    @operation(timeout=600.0)
    async def pay(self, item: str) -> None: ...

    @once(raises=[SoldOut], timeout=600.0)
    async def sell(self, item: str) -> str: ...

    @once(timeout=600.0)
    async def reserve(self, item: str) -> str: ...


class LedgerService(Ledger, Service, tables=ledger_tables):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def book(self, text: str) -> int:
        await _hang_if_told("book", text)
        async with self.database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(text=f"book {text}"))
        return len(text)

    async def strike(self, number: int) -> None:
        await _hang_if_told("strike", str(number))
        if number == len("riddle") and "DESK_HANGS" in os.environ:
            raise CallError(Code.FAILED_PRECONDITION, "the books are closed")
        async with self.database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(text=f"strike {number}"))

    async def entries(self) -> list[str]:
        return await self.database.fetch_all(select(ENTRIES.c.text).order_by(ENTRIES.c.id), into=str)

    @on(Noted, timeout=600.0)
    async def noted(self, event: Noted) -> None:
        if event.text == "nonsense" and "DESK_HANGS" in os.environ:
            raise Undeliverable("nobody can read that")
        await _hang_if_told("noted", event.text)
        async with self.database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(text=f"noted {event.text}"))


class DeskService(Desk, Service, tables=desk_tables):
    def __init__(self, database: Database, ledger: Ledger) -> None:
        self.database = database
        self.ledger = ledger

    async def note(self, text: str) -> int:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(text=text))
            await tx.publish(Noted(text=text))
        return len(await self.database.fetch_all(select(NOTES)))

    async def pay(self, item: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Paid(item=item))

    @saga(waits=[Paid])
    async def sell(self, flow: Flow, item: str) -> str:
        number = await flow.with_undo(self.ledger.book(item), self.ledger.strike)
        if item == "nothing":
            raise SoldOut(item=item)
        if item == "riddle":
            raise ValueError("nobody has thought of that")
        paid = await flow.wait_for(Paid, key=item, timeout=30 * 86400.0)
        return f"{paid.item} {number}"

    @saga
    async def reserve(self, flow: Flow, item: str) -> str:
        await flow.sleep(60.0)
        return f"{item} {await self.ledger.book(item)}"


async def _hang_if_told(operation: str, text: str) -> None:
    """Never end, where the environment names this: what is under way must be under way when the process dies."""
    if f"{operation} {text}" in os.environ.get("DESK_HANGS", "").split(","):
        await asyncio.Event().wait()


system = System("desk", services=[DeskService, LedgerService])
