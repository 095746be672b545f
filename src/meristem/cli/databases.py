"""Opens the databases of a system's services for the verbs that look into them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import click

from meristem.runtime.schema import check_framework, is_new
from meristem.storage.database import Database, database_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from meristem.system.blueprint import Blueprint

T = TypeVar("T")


def names_with_database(blueprint: Blueprint, service: str | None, *, option: str = "--service") -> list[str]:
    """The services that keep something; only `service` if one is named."""
    known = [each.name for each in blueprint.plan.services if each.database]
    if service is not None and service not in known:
        there_are = ", ".join(known) or "none"
        raise click.BadParameter(f"no service {service!r} has a database; there are {there_are}", param_hint=option)
    return known if service is None else [service]


def open_database(blueprint: Blueprint, directory: Path, service: str) -> Database:
    """The database of a service, not started."""
    return database_for(blueprint.database_url(service), name=service, directory=directory)


@asynccontextmanager
async def _started(database: Database) -> AsyncIterator[Database]:
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


@asynccontextmanager
async def _empty(service: str) -> AsyncIterator[Database]:
    with TemporaryDirectory(prefix="meristem-") as folder:
        async with _started(database_for(f"sqlite:///{service}.db", name=service, directory=Path(folder))) as database:
            yield database


def in_each(
    blueprint: Blueprint,
    directory: Path,
    service: str | None,
    work: Callable[[str, Database], Awaitable[T]],
    *,
    of_any_shape: bool = False,
    make: bool = False,
    only: Collection[str] | None = None,
) -> dict[str, T]:
    """What `work` finds in the database of each service, whose framework tables must have this release's shape.

    One that is not there, or in which no release has made a table yet, is left so unless asked to `make` it: `work` is
    given an empty one that is gone afterwards. `only` some of them are visited where these are named.
    """

    async def look(name: str, database: Database) -> T:
        if not of_any_shape:
            await check_framework(database)
        return await work(name, database)

    async def visit(name: str) -> T:
        database = open_database(blueprint, directory, name)
        if make or database.is_temporary or database.exists():
            async with _started(database):
                if make or database.is_temporary or of_any_shape or not await is_new(database):
                    return await look(name, database)
        async with _empty(name) as nothing:
            return await look(name, nothing)

    async def all_of_them() -> dict[str, T]:
        names = names_with_database(blueprint, service)
        return {name: await visit(name) for name in names if only is None or name in only}

    return asyncio.run(all_of_them())
