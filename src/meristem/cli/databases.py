"""Opens the databases of a system's services for the verbs that look into them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import click

from meristem.runtime.schema import check_framework
from meristem.storage.database import Database, database_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

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


@contextmanager
def _opened(blueprint: Blueprint, directory: Path, service: str, *, make: bool) -> Iterator[Database]:
    database = open_database(blueprint, directory, service)
    if make or database.exists() or database.is_temporary:
        yield database
        return
    with TemporaryDirectory(prefix="meristem-") as folder:
        yield database_for(f"sqlite:///{service}.db", name=service, directory=Path(folder))


def in_each(
    blueprint: Blueprint,
    directory: Path,
    service: str | None,
    work: Callable[[str, Database], Awaitable[T]],
    *,
    of_any_shape: bool = False,
    make: bool = False,
) -> dict[str, T]:
    """What `work` finds in the database of each service, whose framework tables must have this release's shape.

    One that is not there is made with `make`; else `work` is given an empty one that is gone afterwards.
    """

    async def visit(name: str) -> T:
        with _opened(blueprint, directory, name, make=make) as database:
            await database.start()
            try:
                if not of_any_shape:
                    await check_framework(database)
                return await work(name, database)
            finally:
                await database.stop()

    async def all_of_them() -> dict[str, T]:
        return {name: await visit(name) for name in names_with_database(blueprint, service)}

    return asyncio.run(all_of_them())
