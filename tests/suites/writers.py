"""Tasks that write to a database all the time, and what they were told of each commit."""

import asyncio

from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, insert, select, update

from meristem.errors import StorageError
from meristem.events.outage import is_outage
from meristem.storage.database import Database

METADATA = MetaData()
ROWS = Table("rows", METADATA, Column("id", Integer, primary_key=True), Column("n", Integer))
PATIENCE = 60  # seconds


class Writers:
    """Eight tasks that write a row after the other, and what they were told of each."""

    def __init__(self, database: Database, first: int = 0) -> None:
        self.committed: set[int] = set()
        self.unknown: set[int] = set()
        self.errors: list[StorageError] = []
        self._database = database
        self._tasks = [asyncio.create_task(self._write(first + number * 1_000_000)) for number in range(8)]

    async def _write(self, number: int) -> None:
        while True:
            number += 1
            try:
                async with self._database.begin() as tx:
                    await tx.execute(insert(ROWS), {"id": number, "n": 1})
                    await tx.execute(update(ROWS).where(ROWS.c.id == bindparam("which")).values(n=2), {"which": number})
            except StorageError as error:
                self.errors.append(error)
                if "may have happened" in str(error):
                    self.unknown.add(number)
            else:
                self.committed.add(number)
            await asyncio.sleep(0.005)

    async def until_they_go_on(self) -> None:
        """Wait for as many commits as they make in a while."""
        enough = len(self.committed) + 50
        async with asyncio.timeout(PATIENCE):
            while len(self.committed) < enough:
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        for each in self._tasks:
            each.cancel()
        await asyncio.wait(self._tasks)

    async def missing(self) -> set[int]:
        """What was acknowledged and is not there."""
        return self.committed - set(await self._database.fetch_all(select(ROWS.c.id).where(ROWS.c.n == 2), into=int))


async def checked(database: Database, writers: Writers) -> None:
    """Nothing that was acknowledged is missing, and nothing is half there."""
    assert await writers.missing() == set()
    assert all(is_outage(each) for each in writers.errors)
    assert await database.fetch_value(select(func.count()).select_from(ROWS).where(ROWS.c.n == 1)) == 0
