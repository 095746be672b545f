"""The tables of a service's database, the framework's and its own: made, migrated, or only checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.events.tables import SCHEMA as EVENTS
from meristem.sagas.tables import SCHEMA as SAGAS
from meristem.services.idempotency import SCHEMA as ONCE
from meristem.storage.lease import SCHEMA as LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import MetaData

    from meristem.storage.database import Database

SCHEMAS: Final = (LEASE, EVENTS, ONCE, SAGAS)
"""Every room's tables are in every service's database: so each release knows all that may be recorded there."""


async def upgrade(database: Database, versions: Path, tables: Callable[[], MetaData | None]) -> list[str]:
    """Bring the database up to date: first the framework's tables, then the service's; answers with the revisions.

    `versions` is the folder of the service's revisions; where it has none, its `tables` are made as they are.
    """
    applied = await database.upgrade(SCHEMAS)
    if _is_migrated(database, versions):
        from meristem.storage import migrations  # noqa: PLC0415 - needs Alembic

        applied += await migrations.upgrade(database, versions)
    elif (own := tables()) is not None:
        await database.create(own)
    return applied


async def pending(database: Database, versions: Path) -> list[str]:
    """The revisions that `upgrade` would apply."""
    found = await database.pending(SCHEMAS)
    if _is_migrated(database, versions):
        from meristem.storage import migrations  # noqa: PLC0415 - needs Alembic

        found += await migrations.pending(database, versions)
    return found


async def check(database: Database, versions: Path) -> None:
    """Refuse a database that is not up to date, and change nothing."""
    _refuse(database, await pending(database, versions))


async def check_framework(database: Database) -> None:
    """Refuse a database whose framework tables have an older shape; where there are none they are made."""
    missing = await database.pending(SCHEMAS)
    # All of them are missing: the database is new, not old, and there is nothing that a migration could endanger.
    if len(missing) == sum(len(each.revisions) for each in SCHEMAS):
        await database.upgrade(SCHEMAS)
    else:
        _refuse(database, missing)


def _refuse(database: Database, missing: Sequence[str]) -> None:
    if missing:
        raise ConfigurationError(
            f"database {database.name!r} lacks {', '.join(missing)}: run `meristem migrate` of this release first"
        )


def _is_migrated(database: Database, versions: Path) -> bool:
    """Whether there are revisions of the service's own, and the database stays."""
    return versions.is_dir() and not database.is_temporary
