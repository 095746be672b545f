"""PostgreSQL behind PgBouncer in transaction mode: each transaction may be on another connection of the server."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, text

from meristem.errors import ConfigurationError
from meristem.events.tables import SCHEMA as EVENTS
from meristem.storage.database import Database, database_for
from meristem.storage.lease_tables import SCHEMA as LEASE
from tests.suites.database import COUNTERS, METADATA, DatabaseSuite
from tests.suites.postgresql import DATABASE, SERVER, administrate, require, services_of_their_own

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
PATIENCE = 30  # seconds
NAME = f"pooled_{uuid4().hex[:8]}"
"""The schema; its role has another name, by which the server would find it unasked."""
ROLE, STRANGER = f"{NAME}_role", f"{NAME}_stranger"


@pytest.fixture(scope="module")
def pooler() -> Iterator[str]:
    """Where a PgBouncer answers, with fewer connections to the server than it takes from clients."""
    require()
    if PGBOUNCER is None:
        pytest.skip("there is no pgbouncer on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host, _, server_port = SERVER.rpartition("@")[2].partition(":")
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        place = Path(folder)
        place.joinpath("pgbouncer.ini").write_text(
            f"[databases]\n{DATABASE} = host={host} port={server_port or 5432}\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
            f"listen_port={port}\nunix_socket_dir=\nauth_type=trust\nauth_file={place}/users\npool_mode=transaction\n"
            f"default_pool_size=3\nlogfile={place}/log\n"
        )
        place.joinpath("users").write_text(f'"{ROLE}" ""\n"{STRANGER}" ""\n')
        as_user = []
        if os.geteuid() == 0:  # which it refuses to run as
            as_user = ["runuser", "-u", "postgres", "--"]
            for each in (place, *place.iterdir()):
                shutil.chown(each, "postgres")
        process = subprocess.Popen([*as_user, PGBOUNCER, str(place / "pgbouncer.ini")], stderr=subprocess.DEVNULL)
        try:
            until_it_listens(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def until_it_listens(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end, "pgbouncer did not begin to listen"
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="module")
def roles() -> Iterator[None]:
    """One that knows its schema, and one that doesn't."""
    require()
    administrate(
        f"CREATE ROLE {ROLE} LOGIN",
        f"CREATE ROLE {STRANGER} LOGIN",
        f"GRANT CREATE ON DATABASE {DATABASE} TO {ROLE}",
        f"ALTER ROLE {ROLE} IN DATABASE {DATABASE} SET search_path = {NAME}",
    )
    yield
    administrate(f"DROP OWNED BY {ROLE}, {STRANGER} CASCADE", f"DROP ROLE {ROLE}, {STRANGER}")


@pytest.fixture
def url(roles: None, pooler: str) -> Iterator[str]:
    """An empty schema behind the pooler."""
    administrate(f"CREATE SCHEMA {NAME} AUTHORIZATION {ROLE}", f"GRANT USAGE ON SCHEMA {NAME} TO {STRANGER}")
    yield f"postgresql://{ROLE}@{pooler}/{DATABASE}?schema={NAME}&pooler=transaction"
    administrate(f"DROP SCHEMA {NAME} CASCADE")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = database_for(url, name="test")
    await database.start()
    await database.create(METADATA)
    yield database
    await database.stop()


@pytest.mark.xdist_group("pgbouncer")
class TestBehindPgbouncer(DatabaseSuite):
    violated = {
        "unique": "counters_pkey",
        "check": "never_negative",
        "not null": "counters.value",
        "foreign key": "parts_of_fkey",
    }

    async def test_statements_of_many_tasks_take_turns_on_few_connections_of_the_server(self, database: Database):
        await database.upgrade([LEASE, EVENTS])
        await database.execute(insert(COUNTERS), [{"name": str(number), "value": number} for number in range(30)])

        async def read(number: int) -> int:
            query = select(COUNTERS.c.value).where(COUNTERS.c.name == str(number), COUNTERS.c.value < 1000 + number)
            return await database.fetch_value(query)

        for _ in range(3):
            assert await asyncio.gather(*(read(number) for number in range(30))) == list(range(30))

    async def test_a_role_that_does_not_know_its_schema_is_told_how_it_learns_it(self, url: str):
        other = database_for(url.replace(ROLE, STRANGER), name="other")

        with pytest.raises(ConfigurationError, match=f'ALTER ROLE … SET search_path = "{NAME}"'):
            await other.start()


async def test_a_services_role_can_neither_read_nor_write_nor_see_into_anothers_schema():
    async with services_of_their_own("orders", "billing") as template:
        orders, billing = (database_for(template.format(service=each), name=each) for each in ("orders", "billing"))
        await orders.start()
        await billing.start()
        await orders.create(METADATA)
        await billing.create(METADATA)
        await orders.execute(insert(COUNTERS).values(name="secret", value=1))
        schema = template.partition("schema=")[2].format(service="orders")

        for statement in (
            "SELECT name FROM {}.counters",
            "INSERT INTO {}.counters VALUES ('x', 1)",
            "DROP TABLE {}.parts",
        ):
            with pytest.raises(Exception, match="permission denied|must be owner"):
                async with billing.begin() as tx:
                    await tx.execute(text(statement.format(schema)))

        assert await billing.fetch_all(select(COUNTERS.c.name), into=str) == []
        assert await orders.fetch_all(select(COUNTERS.c.name), into=str) == ["secret"]
        await orders.stop()
        await billing.stop()
