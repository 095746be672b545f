"""Rooms that are held by one guest at a time. With ROOMS_BUG set a room is looked at and then taken, in two steps."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Column, MetaData, String, Table, bindparam, delete, insert, select

from meristem import Contract, Database, Service, System, once, safe


class Rooms(Contract, Protocol, package="rooms.v1"):
    @once(http="POST /rooms/{room}/hold", timeout=20.0)
    async def hold(self, room: str, who: str) -> bool:
        """Whether it was free, and is the guest's now."""
        ...

    @once(http="POST /rooms/{room}/release", timeout=20.0)
    async def release(self, room: str, who: str) -> bool:
        """Whether it was the guest's, and is free now."""
        ...

    @safe(http="GET /rooms/{room}", timeout=20.0)
    async def holder(self, room: str) -> str:
        """Who holds it, nobody where it is empty."""
        ...


tables = MetaData()
HOLDS = Table("holds", tables, Column("room", String(20), primary_key=True), Column("who", String(20), nullable=False))
HOLDER = select(HOLDS.c.who).where(HOLDS.c.room == bindparam("of"))
FREE = delete(HOLDS).where(HOLDS.c.room == bindparam("of"), HOLDS.c.who == bindparam("by"))
CLEAR = delete(HOLDS).where(HOLDS.c.room == bindparam("of"))


@dataclass
class RoomsService(Rooms, Service, tables=tables):
    database: Database

    async def hold(self, room: str, who: str) -> bool:
        if os.environ.get("ROOMS_BUG"):
            return await self._hold_carelessly(room, who)
        async with self.database.begin() as tx:
            await tx.execute(CLEAR, {"of": ""})  # takes the write lock before it looks
            if await tx.fetch_value(HOLDER, {"of": room}) is not None:
                return False
            await tx.execute(insert(HOLDS), {"room": room, "who": who})
        return True

    async def _hold_carelessly(self, room: str, who: str) -> bool:
        if await self.database.fetch_value(HOLDER, {"of": room}) is not None:
            return False
        await asyncio.sleep(0.005)
        async with self.database.begin() as tx:
            await tx.execute(CLEAR, {"of": room})
            await tx.execute(insert(HOLDS), {"room": room, "who": who})
        return True

    async def release(self, room: str, who: str) -> bool:
        return bool((await self.database.execute(FREE, {"of": room, "by": who})).rowcount)

    async def holder(self, room: str) -> str:
        return await self.database.fetch_value(HOLDER, {"of": room}) or ""


system = System("rooms", services=[RoomsService])
