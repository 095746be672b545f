"""A desk that tells itself what happened, some of which ends its process, as by a crash in a library."""

import asyncio
import os
from typing import Final, Protocol

from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from meristem import Contract, Database, Event, Service, System, on, operation, safe
from meristem.events import poison

DEADLY: Final = 1000  # numbers from here on end the process
SLOW: Final = 500  # numbers from here on take a moment
TABLES: Final = MetaData()
HEARD: Final = Table("heard", TABLES, Column("id", Integer, primary_key=True), Column("number", Integer))

poison.QUIET = 0.05  # a test waits for no half a minute


class Told(Event, package="poison.v1", key="key"):
    key: str
    number: int


class Desk(Contract, Protocol, package="poison.v1"):
    @operation
    async def tell(self, numbers: list[int]) -> None: ...

    @safe
    async def heard(self) -> list[int]: ...


class DeskService(Desk, Service, tables=TABLES):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def tell(self, numbers: list[int]) -> None:
        async with self.database.begin() as tx:
            for number in numbers:
                await tx.publish(Told(key=str(number % 100), number=number))

    async def heard(self) -> list[int]:
        return await self.database.fetch_all(select(HEARD.c.number).order_by(HEARD.c.id), into=int)

    @on(Told)
    async def hear(self, event: Told) -> None:
        if event.number >= DEADLY:
            os._exit(9)
        if event.number >= SLOW:
            await asyncio.sleep(0.3)
        await self.database.execute(insert(HEARD), {"number": event.number})


system = System("poison", services=[DeskService])
