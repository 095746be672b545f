"""PostgreSQL is restarted, and fails over to its standby, while transactions run: what was acknowledged is there."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, insert, select, update

from meristem.errors import StorageError
from meristem.events.outage import is_outage
from meristem.storage.database import Database, database_for
from tests.suites.postgresql_servers import Server, servers_of_its_own

METADATA = MetaData()
ROWS = Table("rows", METADATA, Column("id", Integer, primary_key=True), Column("n", Integer))
PATIENCE = 60  # seconds


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two folders for servers; whatever runs in them ends with the test."""
    with servers_of_its_own("one", "two") as made:
        yield made


class Writers:
    """Eight tasks that write a row after the other, and what they were told of each."""

    def __init__(self, database: Database) -> None:
        self.committed: set[int] = set()
        self.unknown: set[int] = set()
        self.errors: list[StorageError] = []
        self._database = database
        self._tasks = [asyncio.create_task(self._write(number * 1_000_000)) for number in range(8)]

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


async def checked(database: Database, writers: Writers) -> None:
    found = set(await database.fetch_all(select(ROWS.c.id).where(ROWS.c.n == 2), into=int))
    assert writers.committed - found == set()
    assert all(is_outage(each) for each in writers.errors)
    assert await database.fetch_value(select(func.count()).select_from(ROWS).where(ROWS.c.n == 1)) == 0


async def test_writers_go_on_after_restarts_and_lose_nothing_that_was_acknowledged(servers: list[Server]):
    server, _ = servers
    await asyncio.to_thread(server.make)
    await asyncio.to_thread(server.control, "start")
    database = database_for(f"postgresql://postgres@127.0.0.1:{server.port}/postgres", name="rows")
    await database.start()
    await database.create(METADATA)
    writers = Writers(database)
    await writers.until_they_go_on()

    for how in ("fast", "immediate"):
        await asyncio.to_thread(server.control, "restart", "-m", how)
        await writers.until_they_go_on()

    await writers.end()
    await checked(database, writers)
    assert database.missing() is None
    await database.stop()


async def test_writers_go_on_at_the_standby_that_became_the_primary(servers: list[Server]):
    first, second = servers
    await asyncio.to_thread(first.make)
    await asyncio.to_thread(first.control, "start")
    await asyncio.to_thread(second.copy, first)
    await asyncio.to_thread(second.control, "start")
    hosts = f"127.0.0.1:{second.port},127.0.0.1:{first.port}"  # the standby first: it must be passed over
    database = database_for(f"postgresql://postgres@{hosts}/postgres", name="rows")
    await database.start()
    await database.create(METADATA)
    writers = Writers(database)
    await writers.until_they_go_on()

    # The standby has all that was acknowledged, since the primary ends in order.
    await asyncio.to_thread(first.control, "stop", "-m", "fast")
    await asyncio.to_thread(second.control, "promote")
    await writers.until_they_go_on()

    await writers.end()
    await checked(database, writers)
    await database.stop()
