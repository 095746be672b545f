"""A read replica becomes the primary under load: what of the acknowledged is lost, and who is read from then on."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from meristem.context import Context, Place, using
from meristem.log_positions import Positions
from meristem.storage.database import Database, database_for
from meristem.storage.facts import ReplicaRead
from tests.suites.postgresql_servers import Server, servers_of_its_own
from tests.suites.writers import METADATA, PATIENCE, Writers, checked

pytestmark = pytest.mark.xdist_group("replicas-promoted")  # they share servers, which take seconds to make

WHO = text("SELECT inet_server_port()")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    """A primary and two standbys; the second test begins with the primary of the first one, and makes another."""
    with servers_of_its_own("primary", "one", "two") as made:
        primary, *standbys = made
        primary.make()
        primary.control("start")
        for each in standbys:
            each.copy(primary)
            each.control("start")
        yield made


def opened(primary: Server, *replicas: Server) -> tuple[Database, list[object]]:
    hosts = ",".join(f"127.0.0.1:{each.port}" for each in (primary, *replicas))
    database = database_for(
        f"postgresql://postgres@{hosts}/postgres", name="shop", replicas=[each.url for each in replicas]
    )
    facts: list[object] = []
    assert database.replicas is not None
    database.replicas.observers.append(facts.append)
    return database, facts


async def who(database: Database, max_staleness: float = 1.0) -> int:
    with using(Context(place=Place("shop", "Shop.find", max_staleness), positions=Positions())):
        found: int = await database.fetch_value(WHO)
    return found


async def until_read_from(database: Database, *servers: Server) -> None:
    async with asyncio.timeout(PATIENCE):
        while await who(database) not in [each.port for each in servers]:
            await asyncio.sleep(0.01)


async def until_replicated(primary: Server, *standbys: Server, sync: bool) -> None:
    """Wait until the primary has so many standbys, of that kind."""
    states = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = "
    kind = "'sync'" if sync else "'async'"
    async with asyncio.timeout(PATIENCE):
        while primary.sql(states + kind) != [(len(standbys),)]:
            await asyncio.sleep(0.05)


async def test_with_synchronous_replication_a_replica_is_promoted_under_load_and_nothing_acknowledged_is_lost(servers):
    primary, one, two = servers
    await asyncio.to_thread(two.control, "stop", "-m", "fast")
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    await until_replicated(primary, one, sync=True)
    database, facts = opened(primary, one)
    await database.start()
    await database.create(METADATA)
    await until_read_from(database, one)
    writers = Writers(database)
    await writers.until_they_go_on()

    await asyncio.to_thread(primary.control, "stop", "-m", "immediate")
    await asyncio.to_thread(one.control, "promote")
    one.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")  # it came with the copy
    await writers.until_they_go_on()

    await writers.end()
    await checked(database, writers)
    await until_read_from(database, one)  # as the primary: it is no replica any more
    facts.clear()
    for _ in range(20):
        assert await who(database) == one.port
    assert not any(isinstance(each, ReplicaRead) for each in facts)
    await database.stop()


async def test_with_asynchronous_replication_what_the_promoted_replica_had_not_is_lost_and_no_other_shows_it(
    servers, capsys
):
    """One standby is cut off from the primary and promoted; the other had all, and follows nobody afterwards."""
    _, primary, _ = servers
    with servers_of_its_own("three", "four") as (one, two):
        for each in (one, two):
            await asyncio.to_thread(each.copy, primary)
            await asyncio.to_thread(each.control, "start")
        await until_replicated(primary, one, two, sync=False)
        database, facts = opened(primary, one, two)
        await database.start()
        await until_read_from(database, two)
        writers = Writers(database, 100_000_000)
        await writers.until_they_go_on()
        one.sql("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'", "SELECT pg_reload_conf()")
        await until_replicated(primary, two, sync=False)
        before = set(writers.committed)
        await writers.until_they_go_on()

        await asyncio.to_thread(primary.control, "stop", "-m", "immediate")
        await asyncio.to_thread(one.control, "promote")
        await writers.until_they_go_on()
        await writers.end()

        lost = await writers.missing()
        with capsys.disabled():
            print(f"\n{len(lost)} of {len(writers.committed)} acknowledged commits were lost")
        assert len(lost - before) >= 50  # whatever was acknowledged while it was cut off
        # It has rows that are no part of the data any more, and more of the log than the new primary.
        with using(Context(place=Place("shop", "Shop.find", 60.0), positions=Positions())):
            await database.execute(text("CREATE TABLE after_the_failover (id integer)"))
        await until_read_from(database, one)
        facts.clear()
        for _ in range(20):
            assert await who(database, 60.0) == one.port
        assert not any(isinstance(each, ReplicaRead) for each in facts)
        await database.stop()
