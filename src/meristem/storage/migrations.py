"""A service's migrations: Alembic revisions in its own `migrations/versions` folder, run against its own database.

Nothing but that folder is needed: no alembic.ini, no env.py. A fingerprint of the folder is kept in the database, so a
start that finds nothing new doesn't even import Alembic.
"""

from __future__ import annotations

import asyncio
import hashlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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
)

from meristem.errors import ConfigurationError
from meristem.storage.database import Database

T = TypeVar("T")

FRAMEWORK_PREFIX = "meristem_"
"""Tables whose names begin so belong to the framework: it creates them, and migrations leave them alone."""

_SCHEMA = Table(f"{FRAMEWORK_PREFIX}schema", MetaData(), Column("fingerprint", String(64), primary_key=True))
_ENVIRONMENT = Path(__file__).parent / "environment"


async def upgrade(database: Database, versions: Path) -> list[str]:
    """Bring the database to the newest revision; answers with the revisions that were applied, oldest first."""
    return await _in_thread(database, lambda connection: _upgrade(connection, versions))


async def current(database: Database) -> str | None:
    """The revision that the database is at, or None before the first."""
    return await _in_thread(database, _current)


async def pending(database: Database, versions: Path) -> list[str]:
    """The revisions that `upgrade` would apply, oldest first."""
    return await _in_thread(database, lambda connection: _pending(_config(connection, versions), _current(connection)))


async def revision(database: Database, versions: Path, message: str, metadata: MetaData | None = None) -> Path | None:
    """Write a new revision file; with `metadata`, holding what differs from the database, or None if nothing does."""
    await asyncio.to_thread(versions.mkdir, parents=True, exist_ok=True)
    return await _in_thread(database, lambda connection: _revision(connection, versions, message, metadata))


def fingerprint(versions: Path) -> str:
    """A digest of the folder's revisions: their names and their contents."""
    digest = hashlib.sha256()
    for file in sorted(versions.glob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _upgrade(connection: Connection, versions: Path) -> list[str]:
    if not versions.is_dir():
        raise ConfigurationError(f"there is no folder {versions}: create it, or use database.create(metadata)")
    wanted = fingerprint(versions)
    if _stored_fingerprint(connection) == wanted:
        return []
    from alembic import command  # noqa: PLC0415 - costs 60 ms, which a start with nothing new needn't pay

    config = _config(connection, versions)
    applied = _pending(config, _current(connection))
    command.upgrade(config, "head")
    _SCHEMA.create(connection, checkfirst=True)
    connection.execute(delete(_SCHEMA))
    connection.execute(insert(_SCHEMA).values(fingerprint=wanted))
    return applied


def _stored_fingerprint(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_SCHEMA.name):
        return None
    found: str | None = connection.scalar(select(_SCHEMA.c.fingerprint))
    return found


def _current(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see _upgrade

    return MigrationContext.configure(connection).get_current_revision()


def _pending(config: Any, at: str | None) -> list[str]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see _upgrade

    scripts = ScriptDirectory.from_config(config)
    found = [script.revision for script in scripts.iterate_revisions("heads", at or "base") if script.revision != at]
    return found[::-1]


def _revision(connection: Connection, versions: Path, message: str, metadata: MetaData | None) -> Path | None:
    from alembic import command  # noqa: PLC0415 - see _upgrade

    def drop_if_empty(context: Any, revision: Any, directives: list[Any]) -> None:  # noqa: ARG001 - Alembic's signature
        if metadata is not None and directives[0].upgrade_ops.is_empty():
            directives.clear()

    script = command.revision(
        _config(connection, versions, metadata),
        message,
        autogenerate=metadata is not None,
        version_path=str(versions),
        process_revision_directives=drop_if_empty,
    )
    return Path(script.path) if script and not isinstance(script, list) else None


def _config(connection: Connection, versions: Path, metadata: MetaData | None = None) -> Any:
    from alembic.config import Config  # noqa: PLC0415 - see _upgrade

    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", _quoted(_ENVIRONMENT))
    config.set_main_option("version_locations", _quoted(versions))
    config.set_main_option("path_separator", "newline")
    config.attributes |= {"connection": connection, "metadata": metadata, "include_object": _is_the_services}
    return config


def _is_the_services(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:  # noqa: ARG001
    return kind != "table" or name is None or not name.startswith(FRAMEWORK_PREFIX)


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%%")


async def _in_thread(database: Database, work: Callable[[Connection], T]) -> T:
    def run() -> T:
        with database.migration() as connection:
            return work(connection)

    return await asyncio.to_thread(run)
