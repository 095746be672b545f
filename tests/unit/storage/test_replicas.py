"""Reads that may be stale, on a primary and two hot standbys: which server answers, and what nobody is told.

`inet_server_port()` says who has answered.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, insert, select, text

from meristem.context import Context, Place, using
from meristem.log_positions import PRIMARIES, Positions
from meristem.storage.database import Database, database_for
from meristem.storage.facts import PrimaryRead, Reason, ReplicaAway, ReplicaRead
from meristem.storage.postgresql.address import read_address
from meristem.storage.postgresql.standby import Standby
from tests.suites.postgresql_servers import Server, servers_of_its_own

pytestmark = pytest.mark.xdist_group("replicas")  # they share servers, which take seconds to make

METADATA = MetaData()
ROWS = Table("rows", METADATA, Column("id", Integer, primary_key=True))
COUNT = select(func.count()).select_from(ROWS)
EXISTS = select(func.count()).select_from(ROWS).where(ROWS.c.id == bindparam("which"))
WHO = text("SELECT inet_server_port()")
PATIENCE = 30  # seconds
IDS = count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Server]]:
    """A primary and two standbys, which every test leaves as it has found them."""
    with servers_of_its_own("primary", "one", "two") as (primary, *standbys):
        primary.make()
        primary.control("start")
        for each in standbys:
            each.copy(primary)
            each.control("start")
        primary.sql("CREATE SEQUENCE numbers", "CREATE TABLE rows (id integer PRIMARY KEY)")
        yield [primary, *standbys]


class Shop:
    """A database with replicas, and what it was told of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.facts: list[object] = []
        assert database.replicas is not None
        database.replicas.observers.append(self.facts.append)

    async def who(self, max_staleness: float = 1.0, positions: Positions | None = None) -> int:
        """The port of the server that answers."""
        with tolerating(max_staleness, positions):
            found: int = await self.database.fetch_value(WHO)
        return found

    async def until(self, *ports: int, max_staleness: float = 1.0, positions: Positions | None = None) -> None:
        """Wait until one of these has answered."""
        async with asyncio.timeout(PATIENCE):
            while await self.who(max_staleness, positions) not in ports:
                await asyncio.sleep(0.01)

    async def write(self) -> int:
        """Commit a row, for the caller that the running task has."""
        row = next(IDS)
        async with self.database.begin() as tx:
            await tx.execute(insert(ROWS), {"id": row})
        return row

    def reasons(self) -> list[Reason]:
        return [each.reason for each in self.facts if isinstance(each, PrimaryRead)]

    def problem(self, server: Server) -> str | None:
        assert self.database.replicas is not None
        return self.database.replicas.states()[f"127.0.0.1:{server.port}"]

    async def until_sound(self, server: Server, *, sound: bool = True) -> None:
        async with asyncio.timeout(PATIENCE):
            while (self.problem(server) is None) is not sound:
                await asyncio.sleep(0.01)


@contextmanager
def tolerating(max_staleness: float = 1.0, positions: Positions | None = None) -> Iterator[Positions]:
    """What surrounds a method that says so, called by somebody."""
    positions = Positions() if positions is None else positions
    with using(Context(place=Place("shop", "Shop.find", max_staleness), positions=positions)):
        yield positions


@asynccontextmanager
async def opened(primary: Server, *replicas: Server, options: str = "") -> AsyncIterator[Shop]:
    urls = [f"{each.url}{options}" for each in replicas]
    database = database_for(primary.url, name="shop", replicas=urls)
    shop = Shop(database)
    await database.start()
    try:
        yield shop
    finally:
        await database.stop()


@pytest.fixture
async def shop(cluster: list[Server]) -> AsyncIterator[Shop]:
    async with opened(*cluster) as shop:
        await shop.until(*(each.port for each in cluster[1:]))
        for each in cluster[1:]:
            await shop.until_sound(each)
        yield shop


@contextmanager
def paused(*standbys: Server) -> Iterator[None]:
    """Nothing is replayed within the block."""
    for each in standbys:
        each.sql("SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        for each in standbys:
            each.sql("SELECT pg_wal_replay_resume()")


async def test_replicas_answer_in_turn_what_may_be_stale_and_the_primary_all_else(cluster, shop):
    primary, *standbys = cluster
    ports = Counter([await shop.who() for _ in range(20)])
    assert set(ports) == {each.port for each in standbys}
    assert min(ports.values()) >= 5

    database = shop.database
    assert await database.fetch_value(WHO) == primary.port
    with using(Context(place=Place("shop", "Shop.find"), positions=Positions())):
        assert await database.fetch_value(WHO) == primary.port  # the method does not say so
    with using(Context(place=Place("other", "Other.find", 1.0), positions=Positions())):
        assert await database.fetch_value(WHO) == primary.port  # another service's method
    with using(Context(place=Place("shop", "Shop.find", 1.0))):
        assert await database.fetch_value(WHO) == primary.port  # nobody follows what the caller wrote
    assert await shop.who(positions=PRIMARIES) == primary.port


async def test_a_unit_of_work_reads_from_the_primary_alone(cluster, shop):
    primary, *_ = cluster
    with tolerating():
        async with shop.database.begin() as tx:
            assert await shop.database.fetch_value(WHO) == primary.port  # it has not begun
            assert await tx.fetch_value(WHO) == primary.port
            assert await shop.database.fetch_value(WHO) == primary.port


async def test_a_caller_reads_what_it_wrote_at_once_and_from_a_replica_as_soon_as_it_is_there(cluster, shop):
    primary, *standbys = cluster
    with paused(*standbys):
        with tolerating(60.0) as mine:
            row = await shop.write()
            assert await shop.database.fetch_value(EXISTS, {"which": row}) == 1
            assert await shop.who(60.0, mine) == primary.port
            mine.reached("shop", await shop.database.replicas.position())
            assert await shop.database.fetch_value(EXISTS, {"which": row}) == 1
            assert await shop.who(60.0, mine) == primary.port
        assert await shop.who(60.0) != primary.port  # somebody else may see the data of before
        with tolerating(60.0):
            assert await shop.database.fetch_value(EXISTS, {"which": row}) == 0
        assert Reason.WRITTEN in shop.reasons()

    await shop.until(*(each.port for each in standbys), max_staleness=60.0, positions=mine)
    with tolerating(60.0, mine):
        assert await shop.database.fetch_value(EXISTS, {"which": row}) == 1


async def test_what_is_older_than_the_operation_wants_is_read_from_the_primary(cluster, shop):
    primary, *standbys = cluster
    with paused(*standbys):
        await shop.write()
        await shop.until(primary.port, max_staleness=0.5)
        for _ in range(20):
            assert await shop.who(0.5) == primary.port
        assert await shop.who(60.0) != primary.port
    await shop.until(*(each.port for each in standbys), max_staleness=0.5)
    assert Reason.STALE in shop.reasons()


async def test_an_idle_primary_leaves_its_replicas_fresh(shop, cluster):
    """Nothing is written for longer than `max_staleness`: what has been replayed is all there is."""
    await shop.until(cluster[1].port, max_staleness=0.3)
    end = asyncio.get_running_loop().time() + 0.9
    shop.facts.clear()
    while asyncio.get_running_loop().time() < end:
        await shop.who(0.3)
        await asyncio.sleep(0.02)
    assert sum(isinstance(each, ReplicaRead) for each in shop.facts) > len(shop.reasons())


async def test_a_log_that_ends_with_a_page_leaves_its_replicas_fresh(shop, cluster):
    """The primary's position is then behind the next page's header, and that of a standby before it."""
    primary, *standbys = cluster
    position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"

    def ended(length: int) -> tuple[int, int]:
        emit = f"SELECT pg_logical_emit_message(false, 'p', repeat('x', {length}))"
        (before,), *_ = primary.sql(position)
        (after,), *_ = primary.sql(emit, position)
        return before, after

    before, after = ended(400)
    for _ in range(50):
        page = 8192 - after % 8192
        if 400 < page < 8192 - 40:
            before, after = ended(page - (after - before - 400) % 8192)
        else:
            before, after = ended(400)
        if after % 8192 in (24, 40):
            break
        before, after = ended(400)
    assert after % 8192 in (24, 40)
    end = asyncio.get_running_loop().time() + 0.9
    while asyncio.get_running_loop().time() < end:
        who = await shop.who(0.3)
        await asyncio.sleep(0.02)
    assert who in [each.port for each in standbys]


async def readers(shop: Shop, many: int = 8) -> tuple[list[asyncio.Task[None]], list[float]]:
    """Tasks that read all the time, and how long each read took."""
    took: list[float] = []
    clock = asyncio.get_running_loop().time

    async def read() -> None:
        while True:
            began = clock()
            await shop.who()
            took.append(clock() - began)

    return [asyncio.create_task(read()) for _ in range(many)], took


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_replica_that_is_killed_fails_nobody_and_is_used_again_when_it_is_back(cluster, shop):
    _, one, two = cluster
    tasks, took = await readers(shop)
    await until(lambda: len(took) > 100)
    await asyncio.to_thread(two.control, "stop", "-m", "immediate")
    await shop.until_sound(two, sound=False)
    before = len(took)
    await until(lambda: len(took) > before + 200)
    assert shop.problem(one) is None
    shop.facts.clear()

    await asyncio.to_thread(two.control, "start")
    await shop.until_sound(two)
    await until(
        lambda: any(isinstance(each, ReplicaRead) and each.server == f"127.0.0.1:{two.port}" for each in shop.facts)
    )
    assert not any(each.done() for each in tasks)  # not one has failed
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)


async def test_reads_go_to_the_primary_while_no_replica_is_there_and_a_start_does_not_wait_for_any(cluster):
    primary, _, two = cluster
    await asyncio.to_thread(two.control, "stop", "-m", "immediate")
    try:
        async with opened(primary, two) as shop:
            async with asyncio.timeout(PATIENCE):
                while Reason.AWAY not in shop.reasons():
                    assert await shop.who() == primary.port
                    await asyncio.sleep(0.01)
            assert "out of reach" in shop.problem(two)
            assert shop.database.missing() is None  # the process stays ready
    finally:
        await asyncio.to_thread(two.control, "start")


async def test_a_replica_that_stands_still_is_left_within_seconds(cluster):
    """It takes connections, as a machine that hangs may, and answers nothing."""
    primary, one, _ = cluster
    async with opened(primary, one) as shop:
        await shop.until(one.port)
        pid = int((one.data / "postmaster.pid").read_text().split()[0])
        group = [
            pid,
            *(int(each) for (each,) in one.sql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")),
        ]
        for each in group:
            os.kill(each, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE):
                assert await shop.who(60.0) == primary.port
                assert await shop.who(60.0) == primary.port
        finally:
            for each in group:
                os.kill(each, signal.SIGCONT)
        await shop.until(one.port)


@pytest.mark.parametrize("asleep", ["pg_sleep(1.5)", "in_a_block(1.5)"])
async def test_a_read_that_replay_cancels_is_answered_by_the_primary(cluster, asleep: str):
    """In a block of its own, or when it is cancelled twice, the standby ends the connection as well."""
    primary, one, _ = cluster
    primary.sql(
        "CREATE OR REPLACE FUNCTION in_a_block(seconds float) RETURNS void LANGUAGE plpgsql AS "
        "'BEGIN BEGIN PERFORM pg_sleep(seconds); EXCEPTION WHEN division_by_zero THEN NULL; END; END'"
    )
    one.sql("ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")
    try:
        async with opened(primary, one) as shop:
            row = await shop.write()
            await shop.until(one.port)
            slow = text(f"SELECT count(*), inet_server_port() AS port, {asleep} FROM rows")
            with tolerating(60.0):
                reading = asyncio.create_task(shop.database.fetch_one(slow))
            await until(lambda: bool(one.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")))
            primary.sql(f"DELETE FROM rows WHERE id = {row}", "VACUUM (FREEZE) rows")
            found = await reading
            assert found["port"] == primary.port
            assert shop.reasons()[-1] is Reason.CONFLICT
            assert shop.problem(one) is None
    finally:
        one.sql("ALTER SYSTEM RESET max_standby_streaming_delay", "SELECT pg_reload_conf()")


async def test_what_no_standby_runs_goes_to_the_primary_and_costs_the_replica_nothing(cluster, shop):
    primary, *_ = cluster
    primary.sql(
        "CREATE OR REPLACE FUNCTION note() RETURNS bigint LANGUAGE sql AS "
        "'INSERT INTO rows SELECT max(id) + 1 FROM rows RETURNING id::bigint'"
    )
    calling = text("SELECT note(), inet_server_port() AS port")
    locking = text("SELECT inet_server_port() AS port FROM rows FOR SHARE")
    with tolerating():
        await shop.until(cluster[1].port)
        for _ in range(5):
            assert (await shop.database.fetch_one(calling))["port"] == primary.port
            assert (await shop.database.fetch_one(locking))["port"] == primary.port
    assert shop.reasons().count(Reason.REFUSED) == 10
    assert not any(isinstance(each, ReplicaAway) for each in shop.facts)


async def test_a_table_that_a_replica_has_not_yet_is_read_at_the_primary(cluster, shop):
    primary, *standbys = cluster
    with paused(*standbys):
        primary.sql("CREATE TABLE fresh (id integer)")
        with tolerating(60.0):
            assert await shop.database.fetch_all(text("SELECT id FROM fresh")) == []
    primary.sql("DROP TABLE fresh")


async def test_what_is_no_replica_of_the_database_is_never_read_from(cluster):
    primary, one, two = cluster
    async with opened(primary, primary, two) as shop:
        await shop.until(two.port)
        await shop.until_sound(primary, sound=False)
        assert "is no standby" in shop.problem(primary)

    changes: list[Standby] = []
    stranger = Standby(read_address(one.url, "shop", writes=False), "shop", lambda: 1, changes.append)
    stranger.start()
    await until(lambda: bool(changes))
    assert "is a standby of another server" in stranger.problem
    await stranger.stop()
