"""Copies the databases of a system that is stopped to others: of all services or of none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select, text

from meristem.errors import ConfigurationError, OperationError
from meristem.runtime.schema import HALF_COPIED, make_newest, pending
from meristem.storage.database import database_for
from meristem.storage.lease import replicas
from meristem.storage.place import place_of
from meristem.storage.versions import REVISIONS
from meristem.system.state_directory import StateDirectory
from meristem.transfer.service_copy import Tell, copy_rows
from meristem.transfer.tables import tables_of, undeclared

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint
    from meristem.transfer.tables import CopiedTable


class ServiceMove(NamedTuple):
    """One service: where its data is, where it is to be, what it declares, and where its revisions are."""

    source: Database
    target: Database
    place: str | None
    """Where the target is: services that have one place would have one database."""
    tables: MetaData | None
    versions: Path


def copy_system(
    blueprint: Blueprint, directory: Path, services: Sequence[str], *, source: str | None, target: str, tell: Tell
) -> dict[str, dict[str, int]]:
    """Copy what the services keep; answers with the number of rows by service and table.

    `source` and `target` are URLs in which `{service}` and `{system}` stand for names; without a source it is copied
    from where the placement has it. Raises OperationError while the system runs, ConfigurationError for a target that
    is not empty, and StorageError where a target does not have what its source has. Then none of the targets can be
    run on, and the copy can be repeated.
    """
    state = StateDirectory(directory, blueprint.system.name)
    state.prepare()
    state.claim()  # nobody may begin to run it meanwhile
    try:
        moves = {name: _move(blueprint, directory, name, source, target) for name in services}
        _check_apart(moves)
        return asyncio.run(_copy(moves, tell))
    finally:
        state.release()


def _move(blueprint: Blueprint, directory: Path, name: str, source: str | None, target: str) -> ServiceMove:
    urls = [blueprint.database_url(name, each) for each in (source, target)]
    old, new = (database_for(each, name=name, directory=directory) for each in urls)
    places = [place_of(each, directory) for each in urls]
    if urls[0] == urls[1] or places[0] == places[1] is not None:
        raise ConfigurationError(f"the old database of {name!r} is the new one: name another one with --to")
    if old.is_temporary or new.is_temporary:
        raise ConfigurationError(f"the database of {name!r} would be a temporary one: name one that stays")
    tables, versions = blueprint.spec(name).implementation.tables, blueprint.plan.service(name).migrations
    return ServiceMove(old, new, places[1], tables, directory / versions)


def _check_apart(moves: Mapping[str, ServiceMove]) -> None:
    """Refuse one database for two services: the copy of the second one would make that of the first anew."""
    taken: dict[str | None, str] = {}
    for name, each in moves.items():
        if (other := taken.setdefault(each.place, name)) != name:
            raise ConfigurationError(
                f"{other!r} and {name!r} would have one database: write {{service}} in --to where it varies, or name "
                "one with --service"
            )


async def _copy(moves: Mapping[str, ServiceMove], tell: Tell) -> dict[str, dict[str, int]]:
    there = {name: each for name, each in moves.items() if each.source.exists()}
    if not there:
        raise ConfigurationError("there is nothing to copy: none of the services has a database yet")
    for each in there.values():
        for database in (each.source, each.target):
            if database.file is not None and database.exists() and database.file.is_open():
                raise OperationError(f"{database.file.path} is open in another program: end that first")
    async with AsyncExitStack() as stack:
        tables = {}
        for name, each in there.items():
            for database in (each.source, each.target):
                await database.start()
                stack.push_async_callback(database.stop)
            tables[name] = await _checked(name, each)
        for each in there.values():
            # All of them before anything is in one: an interrupted copy leaves none that could be run on.
            await each.target.create(HALF_COPIED.metadata)
        counts = {}
        for name, each in there.items():
            counts[name] = await _copy_service(name, each, tables[name], tell)
        for each in there.values():
            await each.target.execute(text(f"DROP TABLE {HALF_COPIED.name}"))
    return counts


async def _copy_service(name: str, move: ServiceMove, tables: list[CopiedTable], tell: Tell) -> dict[str, int]:
    # Its target is new: nobody runs on it whom a revision could be in the way of.
    await make_newest(move.target, move.versions, lambda: move.tables, unsafe=True)
    await _check_revisions(name, move)
    return await copy_rows(
        move.source, move.target, tables, lambda table, done, total: tell(f"{name}.{table}", done, total)
    )


async def _checked(name: str, move: ServiceMove) -> list[CopiedTable]:
    """The tables to copy, where all that a copy needs is so."""
    present = set(await move.target.tables())
    if present and HALF_COPIED.name not in present:
        held = ", ".join(sorted(present))
        raise ConfigurationError(f"the new database of {name!r} is not empty: it has {held}; name another one in --to")
    if missing := await pending(move.source, move.versions, lambda: move.tables):
        raise ConfigurationError(
            f"the database of {name!r} is not as this release has it ({', '.join(missing)}): run `meristem migrate`, "
            "start the system once and stop it"
        )
    if running := await replicas(move.source):
        raise OperationError(
            f"{', '.join(running)} may still run on the database of {name!r}: stop it; where it was killed on another "
            "machine, start the system here once and stop it"
        )
    tables = tables_of(move.tables)
    for each in undeclared(await move.source.tables(), tables):
        if await move.source.fetch_value(select(func.count()).select_from(text(f'"{each}"'))):
            raise ConfigurationError(
                f"the database of {name!r} has rows in {each}, which is not in `tables=`: declare it there, or move "
                "its rows elsewhere"
            )
    return tables


async def _check_revisions(name: str, move: ServiceMove) -> None:
    """Refuse what a newer release has brought to a shape that this one does not make."""
    if unknown := await _recorded(move.source) - await _recorded(move.target):
        labels = ", ".join(sorted(unknown))
        raise ConfigurationError(
            f"the database of {name!r} was brought to {labels}, of which this release knows nothing: copy it by the "
            "release that did so"
        )


async def _recorded(database: Database) -> set[str]:
    found = await database.fetch_all(select(REVISIONS.c.room, REVISIONS.c.name))
    return {f"{each['room']} {each['name']}" for each in found}
