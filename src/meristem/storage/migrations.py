"""A service's migrations: Alembic revisions in its own `migrations/versions` folder, run against its own database.

Nothing but that folder is needed: no alembic.ini, no env.py. A fingerprint of the folder is kept in the database, so a
start that finds nothing new doesn't even import Alembic. Each applied revision is recorded with its mark: whether a
release that lacks it may run on what it left.

A service begins without migrations, and its tables are made as they are. So the first revision that is written holds
all of them, for databases that are still to come; one whose tables are there already is taken to be at it.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
    update,
)

from meristem.errors import ConfigurationError
from meristem.storage.alembic_folder import (
    FRAMEWORK_PREFIX,
    config_of,
    explained,
    is_no_table,
    is_the_services,
    scripts_of,
)
from meristem.storage.database import Database
from meristem.storage.lock_patience import until_free
from meristem.storage.versions import REVISIONS, SERVICE, Recorded, check_newer, record

logger: Final = logging.getLogger("meristem.storage")

T = TypeVar("T")

_SCHEMA = Table(f"{FRAMEWORK_PREFIX}schema", MetaData(), Column("fingerprint", String(64), primary_key=True))
_AT = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


async def upgrade(database: Database, versions: Path, check: Callable[[], None] | None = None) -> list[str]:
    """Bring the database to the newest revision; answers with the revisions that were applied, oldest first.

    `check` is called before any is run over tables that are there, while nobody else runs them; it may refuse.
    """
    return await in_thread(database, lambda connection: _upgrade(connection, versions, database.name, check))


async def current(database: Database) -> str | None:
    """The revision that the database is at, or None before the first."""
    return await in_thread(database, _current)


async def pending(database: Database, versions: Path) -> list[str]:
    """The revisions that `upgrade` would apply, oldest first."""

    def find(connection: Connection) -> list[str]:
        return pending_in(connection, config_of(connection, versions), database.name)

    return await in_thread(database, find)


async def revision(
    database: Database, versions: Path, message: str, metadata: MetaData | None = None, *, compatible: bool = False
) -> Path | None:
    """Write a new revision file; with `metadata`, holding what differs from the database, or None if nothing does.

    `compatible` marks it as one that the release before may run beside.
    """
    await asyncio.to_thread(versions.mkdir, parents=True, exist_ok=True)

    def write(connection: Connection) -> Path | None:
        config = config_of(connection, versions, metadata)
        config.attributes["compatible"] = compatible
        if is_ahead(connection, config):
            raise ConfigurationError(
                f"database {database.name!r} is at a revision that this release does not have: "
                "write the new revision with the release that has it"
            )
        if metadata is not None and not scripts_of(config):
            _check_first(connection, config, database.name)
            config.attributes |= {"is_first": True, "include_name": is_no_table}
        return _revision(config, versions, message)

    return await in_thread(database, write)


def fingerprint(versions: Path) -> str:
    """A digest of the folder's revisions: their names and their contents."""
    digest = hashlib.sha256()
    for file in sorted(versions.glob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _upgrade(connection: Connection, versions: Path, name: str, check: Callable[[], None] | None) -> list[str]:
    if not versions.is_dir():
        raise ConfigurationError(f"there is no folder {versions}: create it, or use database.create(metadata)")
    folder = fingerprint(versions)
    if _stored_state(connection) == _state(connection, folder):
        return []
    from alembic import command  # noqa: PLC0415 - costs 60 ms, which a start with nothing new needn't pay

    config = config_of(connection, versions)
    applied = pending_in(connection, config, name)
    if is_ahead(connection, config):
        return []
    if applied and check is not None and _own_tables(connection):
        check()
    adopt(connection, config)
    with explained(versions):
        command.upgrade(config, "head")
    _record(connection, config)
    _SCHEMA.create(connection, checkfirst=True)
    connection.execute(delete(_SCHEMA))
    connection.execute(insert(_SCHEMA).values(fingerprint=_state(connection, folder)))
    return applied


def _state(connection: Connection, folder: str) -> str:
    """A digest of the folder and of where the database is: Alembic's own command may have taken it back."""
    at = connection.scalar(select(_AT.c.version_num)) if inspect(connection).has_table(_AT.name) else None
    return hashlib.sha256(f"{folder} {at}".encode()).hexdigest()


def _stored_state(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_SCHEMA.name):
        return None
    found: str | None = connection.scalar(select(_SCHEMA.c.fingerprint))
    return found


def _current(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see _upgrade

    return MigrationContext.configure(connection).get_current_revision()


def pending_in(connection: Connection, config: Any, name: str) -> list[str]:
    """What would be applied, oldest first; nothing where a newer release has gone ahead and this one may follow."""
    known = scripts_of(config)
    at = _current(connection) or _adopted(connection, config)
    if at is not None and at not in known:
        _check_ahead(connection, at, known, name)
        return []
    applied = itertools.takewhile(lambda revision: revision != at, reversed(known))
    return list(applied)[::-1]


def _adopted(connection: Connection, config: Any) -> str | None:
    """The first revision, where a database without any holds what it makes: its tables were made without migrations."""
    first = next(iter(scripts_of(config).values()), None)
    is_whole = first is not None and getattr(first.module, "holds_all_tables", False)
    if first is None or not is_whole or _current(connection) is not None or not _own_tables(connection):
        return None
    revision: str = first.revision
    return revision


def adopt(connection: Connection, config: Any) -> None:
    """Take a database whose tables were made without migrations to be at the first revision, if that holds them."""
    from alembic import command  # noqa: PLC0415 - see _upgrade

    if (adopted := _adopted(connection, config)) is not None:
        command.stamp(config, adopted)


def _own_tables(connection: Connection) -> list[str]:
    """The service's tables in the database."""
    tables = inspect(connection).get_table_names()
    return [each for each in tables if not each.startswith(FRAMEWORK_PREFIX) and each != _AT.name]


def _check_first(connection: Connection, config: Any, name: str) -> None:
    """Refuse to write the first revision over tables that already differ from those it would make."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - see _upgrade
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see _upgrade

    if not _own_tables(connection):
        return
    context = MigrationContext.configure(connection, opts={"include_object": is_the_services})
    if compare_metadata(context, config.attributes["metadata"]):
        raise ConfigurationError(
            f"the tables of database {name!r} were made without migrations, and differ from `tables=` by now: "
            "bring `tables=` back to what the database has, write the first migration, and then change them"
        )


def is_ahead(connection: Connection, config: Any) -> bool:
    """Whether the database is at a revision that the folder does not have."""
    at = _current(connection)
    return at is not None and at not in scripts_of(config)


def _check_ahead(connection: Connection, at: str, known: Collection[str], name: str) -> None:
    """Refuse a database that a newer release has migrated, unless it said that this one may run on it."""
    recorded = _recorded(connection)
    missing = [revision for revision in known if revision not in recorded]
    if at not in recorded or missing:
        raise ConfigurationError(
            f"database {name!r} is at revision {at}, which this release does not have"
            + (f", and lacks {', '.join(missing)}, which it has" if missing else "")
            + ": run the release that it was migrated by, or restore a backup that was made before it"
        )
    check_newer(name, [each for each in recorded.values() if each.name not in known])


def _recorded(connection: Connection) -> dict[str, Recorded]:
    if not inspect(connection).has_table(REVISIONS.name):
        return {}
    columns = REVISIONS.c.room, REVISIONS.c.name, REVISIONS.c.compatible
    found = [Recorded(*row) for row in connection.execute(select(*columns).where(REVISIONS.c.room == SERVICE))]
    return {each.name: each for each in found}


def _record(connection: Connection, config: Any) -> None:
    """Keep what the applied revisions say of older releases, which have no file of them to read it from.

    A mark that was forgotten at first can so be set afterwards, by the release that has the file.
    """
    REVISIONS.create(connection, checkfirst=True)
    recorded = _recorded(connection)
    for revision, script in scripts_of(config).items():
        wanted = Recorded(SERVICE, revision, bool(getattr(script.module, "compatible", False)))
        if revision not in recorded:
            connection.execute(record(wanted))
        elif recorded[revision] != wanted:
            row = (REVISIONS.c.room == SERVICE) & (REVISIONS.c.name == revision)
            connection.execute(update(REVISIONS).where(row).values(compatible=wanted.compatible))


def _revision(config: Any, versions: Path, message: str) -> Path | None:
    from alembic import command  # noqa: PLC0415 - see _upgrade

    compares = config.attributes["metadata"] is not None

    def drop_if_empty(context: Any, revision: Any, directives: list[Any]) -> None:  # noqa: ARG001 - Alembic's signature
        if compares and directives[0].upgrade_ops.is_empty():
            directives.clear()

    script = command.revision(
        config,
        message,
        autogenerate=compares,
        version_path=str(versions),
        process_revision_directives=drop_if_empty,
    )
    return Path(script.path) if script and not isinstance(script, list) else None


async def in_thread(database: Database, work: Callable[[Connection], T]) -> T:
    """What `work` answers to a connection in one transaction, off the event loop; again where tables are in use."""

    def attempt() -> T:
        with database.migration() as connection:
            return work(connection)

    return await until_free(database.name, lambda: asyncio.to_thread(attempt))
