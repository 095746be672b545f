"""Walks that are sagas, some of which end their process: in a step, or between two."""

import asyncio
import os
from typing import Final, Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from meristem import Contract, Database, Service, System, operation, safe, saga, start_saga
from meristem.sagas import crash_loops
from meristem.sagas.flow import Flow
from meristem.sagas.tables import SAGAS

IN_A_STEP: Final = 1000  # numbers from here on end the process
BETWEEN: Final = 2000  # and so do these
SLOW: Final = 500  # numbers from here on take a moment
TABLES: Final = MetaData()
WALKED: Final = Table("walked", TABLES, Column("id", Integer, primary_key=True), Column("what", String(50)))

crash_loops.QUIET = 0.1  # a test waits for no half a minute


class Walks(Contract, Protocol, package="poison.v1"):
    @operation
    async def begin(self, numbers: list[int]) -> None: ...

    @safe
    async def walked(self) -> list[str]: ...

    @safe
    async def going(self) -> int: ...


class WalksService(Walks, Service, tables=TABLES):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def begin(self, numbers: list[int]) -> None:
        for number in numbers:
            await start_saga(self.walk, number)

    async def walked(self) -> list[str]:
        return await self.database.fetch_all(select(WALKED.c.what).order_by(WALKED.c.id), into=str)

    async def going(self) -> int:
        going = select(func.count()).where(SAGAS.c.state.not_in(["done", "parked"]))
        return int(await self.database.fetch_value(going))

    @saga
    async def walk(self, flow: Flow, number: int) -> None:
        await flow.with_undo(flow.step(self.note, f"first {number}"), self.take_back)
        await flow.sleep(0.5)
        if number >= BETWEEN:
            os._exit(9)
        await flow.step(self.go, number)
        await flow.step(self.note, f"last {number}")

    async def go(self, number: int) -> None:
        if number >= IN_A_STEP:
            os._exit(9)
        if number >= SLOW:
            await asyncio.sleep(0.3)
        await self.note(f"went {number}")

    async def note(self, what: str) -> str:
        await self.database.execute(insert(WALKED), {"what": what})
        return what

    async def take_back(self, what: str) -> None:
        await self.database.execute(insert(WALKED), {"what": f"not {what}"})


system = System("poison-sagas", services=[WalksService])
