"""PostgreSQL: the suite of every driver, and what only a server with several connections can show."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from unittest import mock
from urllib.parse import quote

import pytest
from sqlalchemy import Numeric, func, insert, literal, select, text, update

from meristem import Event
from meristem.clock import SystemClock
from meristem.errors import ConfigurationError, MisuseError, StorageError, StorageUnavailable
from meristem.events.direct import DirectBus
from meristem.events.envelope import Envelope
from meristem.events.outage import is_outage
from meristem.events.outbox import Outbox
from meristem.events.policy import DEFAULT
from meristem.events.relay import Relay
from meristem.events.tables import SCHEMA as EVENTS
from meristem.failure_log import is_condition
from meristem.storage.database import Database, database_for
from meristem.storage.driver import Outcome, Statement, Withdrawn
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.storage.postgresql.session import Session
from meristem.storage.scope import outside_units
from meristem.storage.shape import Shape, shape_of
from tests.suites.database import COUNTER_NAMES, COUNTERS, INSERT_COUNTER, METADATA, SET_COUNTER, DatabaseSuite
from tests.suites.postgresql import administrate, schema_of_its_own

PATIENCE = 30  # seconds
VALUE = select(COUNTERS.c.value).where(COUNTERS.c.name == "a")


class Paid(Event, package="shop.v1"):
    number: int


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with schema_of_its_own() as url:
        database = database_for(url, name="test")
        await database.start()
        await database.create(METADATA)
        yield database
        await database.stop()


class TestPostgresql(DatabaseSuite):
    violated = {
        "unique": "counters_pkey",
        "check": "never_negative",
        "not null": "counters.value",
        "foreign key": "parts_of_fkey",
    }


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with schema_of_its_own() as url:
        yield url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database, under a name by which its connections are known from those of any other test."""
    database = database_for(url, name=url.partition("schema=")[2].partition("&")[0])
    await database.start()
    try:
        await database.create(METADATA)
        yield database
    finally:
        await database.stop()


async def end_connections(database: Database) -> None:
    """As a restart does, for the connections of one database alone: it waits until they are gone."""
    ending = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name"
    await asyncio.to_thread(administrate, f"{ending} = 'meristem {database.name}'")


@asynccontextmanager
async def locked(database: Database) -> AsyncIterator[None]:
    """Another transaction holds the counter's row."""
    async with database.begin() as tx:
        await tx.execute(SET_COUNTER, {"which": "a", "to": 5})
        with outside_units():
            yield


async def until_it_waits_for_a_lock(database: Database) -> None:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = :name")
    with outside_units():  # within a transaction the server tells again what it told first
        async with asyncio.timeout(PATIENCE):
            while not await database.fetch_value(waiting, {"name": f"meristem {database.name}"}):
                await asyncio.sleep(0.01)


async def test_a_commit_that_is_cancelled_while_it_waits_for_a_lock_is_taken_back(url: str):
    async with opened(url) as database:
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})
        driver = database._driver
        statement = database._statements.prepare(SET_COUNTER, {"which": "a", "to": 9}).step({"which": "a", "to": 9})
        for steps in ([statement], [statement, statement]):  # one that commits itself, and BEGIN to COMMIT
            async with locked(database):
                commit = asyncio.create_task(driver.transaction().commit(steps))
                await until_it_waits_for_a_lock(database)
                commit.cancel()
                with pytest.raises(Withdrawn):
                    await commit

        assert await database.fetch_value(VALUE) == 5
        assert (await database.execute(SET_COUNTER, {"which": "a", "to": 2})).rowcount == 1


async def test_a_commit_of_one_statement_is_one_hop_and_fails_where_it_must_change_a_row_and_does_not(url: str):
    async with opened(url) as database:
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})

        async def change(which: str) -> None:
            async with database.begin() as tx:
                tx.at_commit(SET_COUNTER, {"which": which, "to": 9}, otherwise=LookupError(which))

        with mock.patch.object(Session, "send", side_effect=AssertionError("a hop more")):
            await change("a")
        with pytest.raises(LookupError, match="b"):
            await change("b")
        await change("a")

        assert await database.fetch_value(VALUE) == 9


async def test_a_commit_whose_answer_is_on_its_way_has_happened_for_the_wait_that_was_cancelled(url: str):
    done: list[str] = []
    async with opened(url) as database:

        async def work() -> None:
            async with database.begin() as tx:
                await tx.execute(INSERT_COUNTER, {"name": "a", "value": 1})
                tx.after_commit(lambda: done.append("committed"))

        sealed = asyncio.Event()
        send = Session.send

        async def slowly(session: Session, statement: str, patience: float | None = None) -> str:
            if statement.endswith("COMMIT"):
                sealed.set()
            return await send(session, statement, patience)

        with mock.patch.object(Session, "send", slowly):
            task = asyncio.create_task(work())
            await sealed.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        assert done == ["committed"]
        assert await database.fetch_value(VALUE) == 1


async def test_connections_that_the_server_has_ended_are_replaced_without_a_failure(url: str):
    async with opened(f"{url}&pool=4") as database:
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 0})
        for number in range(3):
            await asyncio.gather(*(database.fetch_value(VALUE) for _ in range(4)))  # several are open
            await end_connections(database)

            assert await database.fetch_value(VALUE) == number
            await end_connections(database)
            async with database.begin() as tx:
                await tx.execute(SET_COUNTER, {"which": "a", "to": number + 1})


async def test_a_transaction_whose_connection_ends_midway_is_lost_and_says_so(url: str):
    async with opened(url) as database:
        with pytest.raises(StorageError) as lost:
            async with database.begin() as tx:
                await tx.execute(INSERT_COUNTER, {"name": "a", "value": 1})
                await end_connections(database)
                await tx.execute(INSERT_COUNTER, {"name": "b", "value": 1})

        assert is_outage(lost.value)
        assert is_condition(lost.value)  # callers are told to come again, and the log has no traceback of it
        assert await database.fetch_all(COUNTER_NAMES, into=str) == []


async def test_a_connection_lost_with_the_answer_to_commit_says_that_it_may_have_happened(url: str):
    async with opened(url) as database:
        send = Session.send

        async def loses_the_answer(session: Session, statement: str, patience: float | None = None) -> str:
            answer = await send(session, statement, patience)
            if statement.endswith("COMMIT"):
                session.terminate()
                raise StorageUnavailable("the connection was lost")
            return answer

        with (
            mock.patch.object(Session, "send", loses_the_answer),
            pytest.raises(StorageError, match="may have happened") as lost,
        ):
            async with database.begin() as tx:
                await tx.execute(INSERT_COUNTER, {"name": "a", "value": 1})

        assert not isinstance(lost.value, StorageUnavailable)  # of which nothing would have happened
        assert is_outage(lost.value)
        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["a"]


async def test_a_statement_that_commits_itself_and_loses_its_connection_says_that_it_may_have_happened(url: str):
    used: list[tuple[Session, str]] = []
    run = Session.run

    async def seen(session: Session, step: Statement) -> Outcome:
        used.append((session, step.text))
        return await run(session, step)

    async with opened(url) as database:
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})
        async with locked(database):
            with mock.patch.object(Session, "run", seen):
                alone = asyncio.create_task(database.execute(SET_COUNTER, {"which": "a", "to": 9}))
                await until_it_waits_for_a_lock(database)
            next(session for session, text in used if text.startswith("UPDATE")).terminate()
            with pytest.raises(StorageError, match="may have happened"):
                await alone
        used[-1][0].terminate()  # one that is closed before a statement is sent is no such case
        assert (await database.execute(SET_COUNTER, {"which": "a", "to": 2})).rowcount == 1


async def test_of_two_transactions_that_wait_for_each_other_the_one_that_told_nothing_yet_is_run_again(url: str):
    async with opened(url) as database:
        await database.execute(insert(COUNTERS), [{"name": name, "value": 0} for name in "ab"])
        entered = asyncio.Event()

        async def begin_with_both() -> None:
            async with database.begin() as tx:
                tx.defer(SET_COUNTER, {"which": "b", "to": 2})
                entered.set()
                await tx.execute(SET_COUNTER, {"which": "a", "to": 2})

        async with database.begin() as tx:
            await tx.execute(text("SET LOCAL deadlock_timeout = '20s'"))  # the other one looks first
            await tx.execute(SET_COUNTER, {"which": "a", "to": 1})
            with outside_units():
                other = asyncio.create_task(begin_with_both())
            await entered.wait()
            await until_it_waits_for_a_lock(database)
            await tx.execute(SET_COUNTER, {"which": "b", "to": 1})
        await other

        assert await database.fetch_all(select(COUNTERS.c.value), into=int) == [2, 2]


async def test_a_serialization_failure_is_repeated_where_nothing_was_told_and_else_says_what_to_do(url: str):
    async with opened(f"{url}&isolation=serializable") as database:
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 0})
        add = update(COUNTERS).where(COUNTERS.c.name == "a").values(value=COUNTERS.c.value + 1)

        await asyncio.gather(*(database.execute(add) for _ in range(5)))
        with pytest.raises(StorageUnavailable, match="repeat the unit of work"):
            async with database.begin() as tx:
                seen = await tx.fetch_value(VALUE)
                with outside_units():
                    await database.execute(add)
                await tx.execute(SET_COUNTER, {"which": "a", "to": seen + 1})

        assert await database.fetch_value(VALUE) == 6


async def test_a_read_gets_its_turn_although_transactions_hold_all_other_connections(url: str):
    async with opened(f"{url}&pool=3&server_pool=3") as database, asyncio.timeout(PATIENCE):
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 0})

        async def read_within(name: str) -> int:
            async with database.begin() as tx:
                await tx.execute(INSERT_COUNTER, {"name": name, "value": 1})
                with outside_units():
                    return await database.fetch_value(VALUE)

        assert await asyncio.gather(*(read_within(str(number)) for number in range(12))) == [0] * 12


async def test_what_is_urgent_comes_before_all_that_wait_for_a_connection(url: str):
    async with opened(f"{url}&pool=3&server_pool=3") as database, asyncio.timeout(PATIENCE):
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 0})
        beat = update(COUNTERS).where(COUNTERS.c.name == "a").values(value=COUNTERS.c.value + 1)
        urgent = beat.execution_options(urgent=True)
        goes_on, under_way = asyncio.Event(), 0

        async def hold(name: str) -> None:
            nonlocal under_way
            async with database.begin() as tx:
                await tx.execute(INSERT_COUNTER, {"name": name, "value": 1})
                under_way += 1
                await goes_on.wait()

        holders = [asyncio.create_task(hold(str(number))) for number in range(12)]
        while under_way < 2:
            await asyncio.sleep(0)
        reads = [asyncio.create_task(database.fetch_value(VALUE)) for _ in range(12)]
        await asyncio.sleep(0)
        assert (await database.execute(urgent)).rowcount == 1
        assert not all(each.done() for each in reads)

        goes_on.set()
        await asyncio.gather(*holders, *reads)


async def test_a_wait_for_a_connection_ends_with_what_to_do(url: str):
    async with opened(f"{url}&pool=2&server_pool=2") as database:
        pool = database._driver.pool
        pool._patience = 0.05
        async with database.begin() as tx:
            await tx.execute(INSERT_COUNTER, {"name": "a", "value": 0})
            with outside_units(), pytest.raises(StorageUnavailable, match="pool="):
                await database.execute(INSERT_COUNTER, {"name": "b", "value": 0})


async def test_databases_of_one_process_share_the_connections_of_their_server(url: str):
    limited = f"{url}&pool=6&server_pool=6"
    async with opened(limited) as first, opened(limited) as second, opened(limited) as third:
        databases = [first, second, third]
        await first.execute(INSERT_COUNTER, {"name": "a", "value": 0})
        sizes: list[int] = []

        async def read(database: Database) -> None:
            await database.fetch_value(VALUE)
            sizes.append(sum(each._driver.pool.size for each in databases))

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(read(first) for _ in range(30)))
            assert first._driver.pool.size > 2  # nobody else needed them
            await asyncio.gather(*(read(each) for each in databases for _ in range(30)))

        assert max(sizes) <= 6
        assert len(sizes) == 120


async def test_a_schema_that_is_not_there_is_told_with_the_statement_that_makes_it(url: str):
    absent = database_for(url.replace("schema=", "schema=absent_"), name="test")

    with pytest.raises(ConfigurationError, match='CREATE SCHEMA "absent_'):
        await absent.start()


async def test_a_server_that_refuses_the_role_is_told_without_the_password(url: str):
    database = database_for(url.replace("postgres@", "nobody:hunter2@"), name="test")

    with pytest.raises(StorageError, match="refuses the connection.*nobody") as refused:
        await database.start()

    assert refused.value.lasting
    assert "hunter2" not in str(refused.value)


async def test_a_server_that_is_away_is_unavailable_and_makes_the_process_unready_until_it_is_back(url: str):
    async with opened(url) as database:
        opener = database._driver._opener
        opener._patience = 0.0
        there, opener._address = opener._address, opener._address._replace(dsn="postgresql://127.0.0.1:9/x")
        database._driver.pool.suspect()

        with pytest.raises(StorageUnavailable, match="out of reach"):
            await database.fetch_value(VALUE)
        assert "out of reach" in str(database.missing())
        opener._address = there
        assert await database.fetch_value(VALUE) is None

        assert database.missing() is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql:///shop", "names no server"),
        ("postgresql://u:hunter2@host", "no database"),
        ("postgresql://u:hunter2@host/shop?shema=x", "unknown option 'shema'"),
        ("postgresql://u:hunter2@host/shop?pool=1", "pool=1"),
        ("postgresql://u:hunter2@host/shop?isolation=none", "isolation"),
        ("postgresql://u:hunter2@host/shop?pooler=session", "pooler"),
        ("postgresql://u:hunter2@host/shop?listen=yes", "listen="),
        ("postgresql://u:hunter2@host/shop?listen=postgresql%3A%2F%2F%5Bx", "%5B"),
        ("postgresql://u:hunter2@host:abc/shop", "no port that can be"),
        ("postgresql://u:hunter2@host:99999/shop", "no port that can be"),
        ("postgresql://u:hunter2@[::1]:0,host/shop", "no port that can be"),
        ("postgresql://u:hunter2@host/shop?port=5432,x", "no port that can be"),
        ("postgresql://u:[hunter2@host/shop", "%5B"),
        ("postgresql://u:hunter2#@host/shop", "names no server|%23"),
        ("postgresql://u:hunter2/@host/shop", "%2F"),
        ("postgresql://u:hunter2@host/shop?sslmode=yes", "sslmode is none of"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, told: str):
    with pytest.raises(ConfigurationError, match=told) as refused:
        database_for(url, name="test")

    assert "hunter2" not in str(refused.value)


async def test_integers_summed_are_an_integer_and_money_is_multiplied_exactly(url: str):
    async with opened(url) as database:
        await database.execute(insert(COUNTERS), [{"name": name, "value": 2} for name in "ab"])
        total = func.sum(COUNTERS.c.value)

        found = await database.fetch_all(
            select(total.label("a"), func.sum(func.count()).over().label("b"), total.filter(COUNTERS.c.name == "a"))
        )
        price = await database.fetch_value(select(literal(Decimal("10.00"), Numeric(12, 2)) * Decimal("1.005")))

        assert [type(each) for each in found[0].values()] == [int, int, int]
        assert list(found[0].values()) == [4, 2, 2]
        assert price == Decimal("10.05")


async def test_a_text_that_is_too_long_is_refused_and_not_cut(url: str):
    async with opened(url) as database:
        with pytest.raises(MisuseError, match="string data right truncation"):
            await database.execute(INSERT_COUNTER, {"name": "x" * 21, "value": 0})


async def test_a_revision_can_not_end_its_transaction(url: str):
    async with opened(url) as database:

        def migrate(statement: str) -> None:
            with database.migration() as connection:
                connection.execute(insert(COUNTERS).values(name="half", value=1))
                connection.execute(text(statement))

        for statement in ("COMMIT", "rollback;", "BEGIN"):
            with pytest.raises(ConfigurationError, match="neither begins nor ends"):
                await asyncio.to_thread(migrate, statement)

        assert await database.fetch_all(COUNTER_NAMES, into=str) == []


async def test_migrations_and_the_framework_change_one_schema_in_turn(url: str):
    async with opened(url) as database:
        upgraded = asyncio.Event()

        async def upgrade() -> None:
            await database.upgrade([LEASE])
            upgraded.set()

        entered, leave = threading.Event(), threading.Event()

        def migrate() -> None:
            with database.migration():
                entered.set()
                leave.wait(PATIENCE)

        migrating = asyncio.create_task(asyncio.to_thread(migrate))
        await asyncio.to_thread(entered.wait, PATIENCE)
        upgrading = asyncio.create_task(upgrade())
        await until_it_waits_for_a_lock(database)
        assert not upgraded.is_set()
        leave.set()
        await migrating
        await upgrading


async def test_of_replicas_that_make_their_tables_at_once_the_first_does(url: str):
    replicas = [database_for(url, name=f"replica {number}") for number in range(4)]
    async with AsyncExitStack() as stack:
        for each in replicas:
            await each.start()
            stack.push_async_callback(each.stop)

        await asyncio.gather(*(each.create(METADATA) for each in replicas))

        assert {each.name for each in METADATA.sorted_tables} <= {*await replicas[0].tables()}


async def test_a_migration_is_tried_in_a_twin_of_the_schema_of_which_nothing_remains(url: str):
    async with opened(url) as database:
        await database.upgrade([LEASE])
        await database.execute(insert(COUNTERS).values(name="a", value=1))
        await database.execute(text("CREATE UNIQUE INDEX by_value ON counters (value) WHERE value > 0"))
        await database.execute(text("CREATE VIEW large AS SELECT name FROM counters WHERE value > 10"))
        tables = await database.tables()

        def rehearse() -> tuple[Shape, Shape, list[str]]:
            with database.migration() as connection:
                before = shape_of(connection)
            with database.twin() as twin:
                found = shape_of(twin.connection)
                assert twin.connection.scalar(select(func.count()).select_from(COUNTERS)) == 0
                assert twin.connection.scalar(text("SELECT count(*) FROM meristem_revision")) == len(LEASE.revisions)
                twin.connection.execute(text("ALTER TABLE parts DROP CONSTRAINT parts_of_fkey"))
                twin.connection.execute(text("DROP INDEX by_value"))
                twin.connection.execute(text("DROP TABLE counters CASCADE"))
                assert "counters" not in shape_of(twin.connection).tables
                return before, found, [each.what for each in twin.tolls(["CREATE INDEX x ON fees (cents)"])]

        before, found, tolls = await asyncio.to_thread(rehearse)

        assert found == before
        assert tolls == ["locks fees (SHARE) and reads all of it: 0.0 MB"]
        assert await database.tables() == tables
        assert await database.fetch_value(VALUE) == 1


async def test_rows_that_their_publisher_has_no_room_for_are_announced_to_another_process(url: str):
    listening = f"{url}&listen={quote(url.partition('?')[0], safe='')}"
    never = 3600.0  # seconds between two looks: only an announcement wakes the relay
    async with opened(listening) as first, opened(listening) as second:
        await first.upgrade([LEASE, EVENTS])
        bus, clock = DirectBus(), SystemClock()
        arrived: asyncio.Queue[str] = asyncio.Queue()

        async def receive(envelope: Envelope, *, is_new: bool) -> None:
            arrived.put_nowait(envelope.id)

        bus.subscribe("billing", {Paid.event_type: DEFAULT}, receive)
        publisher = Outbox(first, "//test/rooms", lambda _: ["billing"], clock, Lease(first, "a"))  # without a relay
        outbox = Outbox(second, "//test/rooms", lambda _: ["billing"], clock, Lease(second, "b"))
        relay = Relay(outbox, bus, clock, poll=never)
        for each in (outbox.lease, publisher, outbox, relay):
            await each.start()
        try:
            async with asyncio.timeout(PATIENCE):
                for restarted in (False, False, True):
                    if restarted:  # it listens again on another connection, and looks for what it may have missed
                        await end_listeners(url)
                    async with first.begin() as tx:
                        await tx.publish(Paid(number=7))
                    assert await arrived.get()
        finally:
            for each in (relay, outbox, publisher, outbox.lease):
                await each.stop()


async def end_listeners(url: str) -> None:
    ending = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND query LIKE"
    channel = hashlib.sha256(url.partition("schema=")[2].encode()).hexdigest()[:16]
    await asyncio.to_thread(administrate, f"{ending} '%{channel}%'")
