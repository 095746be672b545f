"""What a server, a role or a table may have that no statement expects: settings, limits, names, values, changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from meristem.errors import ConfigurationError, MisuseError, StorageError, StorageUnavailable
from meristem.storage.database import Database, database_for
from meristem.storage.postgresql.address import read_address
from meristem.storage.postgresql.connection_opener import ConnectionOpener
from tests.suites.postgresql import administrate, schema_of_its_own

METADATA = MetaData()
NOTES = Table(
    "notes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("words", String(20)),
    Column("at", DateTime(timezone=True)),
    Column("day", Date),
    Column("made", DateTime, server_default=func.now()),
)
WORDS = select(NOTES.c.id, NOTES.c.words)
PID = text("SELECT pg_backend_pid()")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with schema_of_its_own() as url:
        yield url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = database_for(url, name="edges")
    await database.start()
    try:
        await database.create(METADATA)
        yield database
    finally:
        await database.stop()


@asynccontextmanager
async def as_role(url: str, limit: int = -1, **settings: str) -> AsyncIterator[str]:
    """The URL for a role that has these settings, and that many connections."""
    role = url.partition("schema=")[2] + "_role"
    administrate(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {limit}", f"GRANT ALL ON SCHEMA {role[:-5]} TO {role}")
    administrate(*(f"ALTER ROLE {role} SET {name} = '{value}'" for name, value in settings.items()))
    try:
        yield url.replace("postgres@", f"{role}@")
    finally:
        administrate(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


@pytest.fixture
async def notes(url: str) -> AsyncIterator[Database]:
    async with opened(url) as database:
        await database.execute(insert(NOTES), {"id": 1, "words": "one"})
        yield database


async def test_a_table_that_is_changed_under_prepared_statements_stays_in_use(notes: Database, url: str):
    """MagicStack/asyncpg#458: inside a transaction asyncpg prepares nothing anew by itself."""
    schema = url.partition("schema=")[2]

    async def used(*statements: Any) -> list[Any]:
        async with notes.begin() as tx:
            return [await tx.fetch_all(each) for each in statements]

    changing = update(NOTES).values(words="two").returning(NOTES.c.id, NOTES.c.words)
    row = [{"id": 1, "words": "two"}]
    await used(changing, changing, WORDS)

    administrate(f"ALTER TABLE {schema}.notes ALTER words TYPE VARCHAR(80)")
    assert await used(WORDS) == [row], "nobody had heard of the unit yet"
    await used(changing, changing)
    administrate(f"ALTER TABLE {schema}.notes ALTER words TYPE TEXT")
    plain = update(NOTES).values(day=date(2030, 1, 1)).returning(NOTES.c.id)
    assert await used(plain, changing) == [[{"id": 1}], row], "behind a savepoint it is prepared anew"
    await used(plain, WORDS)
    administrate(f"ALTER TABLE {schema}.notes ALTER words TYPE VARCHAR(90)")
    with pytest.raises(StorageUnavailable, match="a table was changed while it was in use: repeat the unit of work"):
        await used(plain, WORDS)
    assert await used(plain, WORDS) == [[{"id": 1}], row]


@pytest.mark.parametrize(
    "statement",
    [
        WORDS.limit(1).union_all(WORDS.limit(1)),
        text("-- a comment\nSELECT 1"),
        text("/* one\nmore */ (SELECT 1)"),
        text("((SELECT 1) UNION ALL (SELECT 2))"),
    ],
)
async def test_what_reads_is_known_behind_brackets_and_comments(notes: Database, statement):
    assert await notes.fetch_all(statement)


@pytest.mark.parametrize("statement", ["SELECT id FROM notes FOR UPDATE", "WITH gone AS (DELETE FROM notes) SELECT 1"])
async def test_a_read_that_would_write_is_refused_and_takes_no_server_for_a_standby(notes: Database, statement: str):
    before = await notes.fetch_value(PID)

    with pytest.raises(StorageError, match="this statement writes or locks rows: run it inside"):
        await notes.fetch_all(text(statement))

    there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    assert await notes.fetch_value(there, {"pid": before}) == 1, "its connection is kept"


@pytest.mark.parametrize("value", ["0044-03-15 BC", "20000-01-01"])
async def test_what_python_cannot_hold_is_told_without_the_value_and_hurts_no_connection(notes: Database, value: str):
    async with notes.begin() as tx:
        await tx.execute(text(f"UPDATE notes SET day = '{value}'"))
        with pytest.raises(StorageError, match=r"out of Python's range .*read it as text") as told:
            await tx.fetch_all(select(NOTES.c.day))
        assert told.value.__context__ is None
        assert await tx.fetch_value(select(cast(NOTES.c.day, String))) == value


@pytest.mark.parametrize("instant", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
async def test_the_first_and_the_last_instant_come_back_aware(notes: Database, instant: datetime):
    await notes.execute(update(NOTES).values(at=instant))

    assert await notes.fetch_value(select(NOTES.c.at)) == instant


async def test_what_a_role_has_set_makes_nothing_else_of_a_statement(url: str):
    settings = {"timezone": "America/New_York", "standard_conforming_strings": "off", "datestyle": "German"}
    async with as_role(url, **settings) as own, opened(own) as database:
        await database.execute(insert(NOTES), {"id": 1, "at": datetime(2030, 1, 2, 1, tzinfo=UTC)})

        found = await database.fetch_value(select(cast(cast(NOTES.c.at, Date), String)))
        made = await database.fetch_value(select(NOTES.c.made))
        words = await database.fetch_value(select(literal("a\\'b", literal_execute=True)))
        with database.migration() as connection:
            day = connection.scalar(select(cast(NOTES.c.at, Date)))

    assert (found, day, words) == ("2030-01-02", date(2030, 1, 2), "a\\'b")
    assert abs((made.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 3600, "in UTC, as in SQLite"


async def test_a_name_that_the_server_would_cut_is_refused(notes: Database):
    long = "ü" * 32
    tables = Table(long, MetaData(), Column("id", Integer, primary_key=True)).metadata

    with pytest.raises(MisuseError, match=f"the name '{long}' is longer than the 63 bytes"):
        await notes.create(tables)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO notes (id, words) VALUES (:id, 'RETURNING')",
        "/* many */ INSERT INTO notes (id) VALUES (:id);",
        "INSERT INTO notes (id) VALUES (:id) -- one",
    ],
)
async def test_many_rows_are_counted_however_the_statement_is_written(notes: Database, statement: str):
    async with notes.begin() as tx:
        assert (await tx.execute(text(statement), [{"id": 2}, {"id": 3}])).rowcount == 2


async def test_too_many_values_are_told_by_their_number(notes: Database):
    with pytest.raises(MisuseError, match="32,767 values at most"):
        await notes.fetch_all(select(NOTES.c.id).where(NOTES.c.id.in_(range(32_768))))


async def test_where_the_server_has_no_connection_left_those_that_are_open_are_shared(url: str):
    async with as_role(url, limit=1) as own, opened(own) as database:

        async def add(number: int) -> None:
            async with database.begin() as tx:
                await tx.execute(insert(NOTES), {"id": number})
                await asyncio.sleep(0)

        await asyncio.gather(*map(add, range(5)))

        assert await database.fetch_value(select(func.count(NOTES.c.id))) == 5
        assert database.missing() is None, "the server is in reach"


def test_both_libraries_read_the_same_of_a_url():
    """A blank of an option is written as libpq reads it, which takes a plus for one."""
    file = "/a b+c/pass"

    dsn = read_address(f"postgresql://h/d?passfile={quote(file)}", "x").dsn

    assert conninfo_to_dict(dsn)["passfile"] == file
    assert parse_qs(urlsplit(dsn).query)["passfile"] == [file]
    assert conninfo_to_dict(read_address("postgresql://h/d?passfile=/a+b", "x").dsn)["passfile"] == "/a+b"


def test_an_aim_that_no_library_knows_is_refused():
    with pytest.raises(ConfigurationError, match="target_session_attrs is none of read-write, "):
        read_address("postgresql://h/d?target_session_attrs=write", "x")


async def test_a_host_that_no_name_can_be_is_refused_at_once(tmp_path: Path):
    database = database_for(f"postgresql://{'x' * 64}/d", name="edges", directory=tmp_path)

    with pytest.raises(StorageError, match="its host is no name of a host"):
        await database.start()


async def test_a_server_that_does_not_answer_may_be_one_whose_name_nobody_knows():
    """A name server that answers nothing looks the same: the error names both."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    address = read_address(f"postgresql://nobody@127.0.0.1:{server.sockets[0].getsockname()[1]}/x", "stock")
    opener = ConnectionOpener(address, "stock", patience=0.0, attempt=0.05)
    try:
        with pytest.raises(StorageUnavailable, match=r"neither the server nor, where its host is a name, those who"):
            await opener.connect(0, lambda: True)
    finally:
        for each in held:
            each.close()
        server.close()
