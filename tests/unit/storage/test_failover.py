"""PostgreSQL is restarted, and fails over to its standby, while transactions run: what was acknowledged is there."""

import asyncio
from collections.abc import Iterator

import pytest

from meristem.storage.database import database_for
from tests.suites.postgresql_servers import Server, servers_of_its_own
from tests.suites.writers import METADATA, Writers, checked


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two folders for servers; whatever runs in them ends with the test."""
    with servers_of_its_own("one", "two") as made:
        yield made


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
