"""A real PostgreSQL for tests: each gets a schema of its own on one server, or is skipped where there is none.

`MERISTEM_TEST_POSTGRESQL` names another server than the one on this machine's usual port, by a role that may create
databases and roles.
"""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from uuid import uuid4

import psycopg
import pytest

SERVER = os.environ.get("MERISTEM_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432")
DATABASE = "meristem_test"


@cache
def _why_not() -> str | None:
    """Why there is no server to test with; makes the database once."""
    try:
        with psycopg.connect(f"{SERVER}/postgres", connect_timeout=5, autocommit=True) as connection:
            # Workers begin at once: the lock has the second one see the first one's database.
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(1296389716)")
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
                # What a test leaves behind is of no use to anybody: none waits for the disk.
                connection.execute(f"ALTER DATABASE {DATABASE} SET synchronous_commit = off")
    except psycopg.errors.DuplicateDatabase:
        return None
    except psycopg.Error as error:
        return f"there is no PostgreSQL at {SERVER.rpartition('@')[2]}: {' '.join(str(error).split())}"
    return None


def administrate(*statements: str) -> None:
    """Run statements as the server's administrator, each committed by itself.

    One test at a time: rights that two change at once are a "tuple concurrently updated".
    """
    with psycopg.connect(f"{SERVER}/{DATABASE}", autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('rights of tests'))")  # let go of with the connection
        for each in statements:
            connection.execute(each)


def require() -> None:
    """Skip the test where there is no server."""
    if (reason := _why_not()) is not None:
        pytest.skip(reason)


@asynccontextmanager
async def schema_of_its_own(options: str = "") -> AsyncIterator[str]:
    """The URL of an empty schema, which is gone afterwards."""
    require()
    name = f"test_{uuid4().hex[:12]}"
    administrate(f"CREATE SCHEMA {name}")
    try:
        yield f"{SERVER}/{DATABASE}?schema={name}{options}"
    finally:
        administrate(f"DROP SCHEMA {name} CASCADE")


@contextmanager
def schemas_for(*services: str) -> Iterator[str]:
    """The URL template of empty schemas, one for each service; they are gone afterwards."""
    prefix = f"test_{uuid4().hex[:12]}"
    names = [f"{prefix}_{each}" for each in services]
    administrate(*(f"CREATE SCHEMA {each}" for each in names))
    try:
        yield f"{SERVER}/{DATABASE}?schema={prefix}_{{service}}"
    finally:
        administrate(*(f"DROP SCHEMA {each} CASCADE" for each in names))


@asynccontextmanager
async def services_of_their_own(*services: str) -> AsyncIterator[str]:
    """A URL with `{service}` in it, made by the documented recipe: a role and a schema for each of the services."""
    require()
    prefix = f"test_{uuid4().hex[:8]}"
    make_services(prefix, services)
    try:
        yield template(prefix)
    finally:
        drop_services(prefix, services)


def template(prefix: str) -> str:
    """The URL of services that `make_services` has made."""
    host = SERVER.rpartition("@")[2]
    return f"postgresql://{prefix}_{{service}}:secret@{host}/{DATABASE}?schema={prefix}_{{service}}"


def make_services(prefix: str, services: Iterable[str]) -> None:
    """A role and a schema for each, as the documentation says."""
    for each in services:
        role = f"{prefix}_{each}"
        administrate(
            f"CREATE ROLE {role} LOGIN PASSWORD 'secret'",
            f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {DATABASE} TO {role}",
            f"CREATE SCHEMA {role} AUTHORIZATION {role}",
            f"ALTER ROLE {role} IN DATABASE {DATABASE} SET search_path = {role}",
        )


def drop_services(prefix: str, services: Iterable[str]) -> None:
    """What `make_services` has made, and what is in it."""
    for each in services:
        role = f"{prefix}_{each}"
        administrate(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
