"""A service that counts what it does, by each kind of promise that a contract can give."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from meristem import Contract, Database, Service, System, idempotent, once, operation, safe

metadata = MetaData()
ENTRIES = Table("entries", metadata, Column("number", Integer, primary_key=True), Column("text", String(100)))
ENTER = insert(ENTRIES)


class Till(Contract, Protocol, package="faults.till.v1"):
    """Takes money."""

    @operation(timeout=20.0)
    async def plain(self, text: str) -> int:
        """May not be repeated."""
        ...

    @once(timeout=20.0)
    async def keyed(self, text: str) -> int:
        """Has its effect once for each key."""
        ...

    @idempotent(timeout=20.0)
    async def repeatable(self, text: str) -> int:
        """May be repeated."""
        ...

    @safe(timeout=20.0)
    async def ask(self, text: str) -> str:
        """Has no effect."""
        ...

    @safe(timeout=20.0)
    async def wait(self) -> None:
        """Takes for ever."""
        ...


class Effects:
    """What the service did, and what was cancelled."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()


def till(effects: Effects) -> System:
    """A system of one service that has these effects."""

    def given() -> Effects:
        return effects

    class TillService(Till, Service, tables=metadata, provides=[given]):
        def __init__(self, database: Database, effects: Effects) -> None:
            self.database = database
            self.effects = effects

        async def plain(self, text: str) -> int:
            self.effects.count["plain"] += 1
            return len(text)

        async def keyed(self, text: str) -> int:
            async with self.database.begin() as tx:
                await tx.execute(ENTER, {"text": text})
                tx.after_commit(self._entered)
            return len(text)

        def _entered(self) -> None:
            self.effects.count["keyed"] += 1

        async def repeatable(self, text: str) -> int:
            self.effects.count["repeatable"] += 1
            return len(text)

        async def ask(self, text: str) -> str:
            self.effects.count["ask"] += 1
            return text

        async def wait(self) -> None:
            self.effects.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.effects.cancelled.set()

    return System("faults", services=[TillService])
