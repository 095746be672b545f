"""The tables of a service's database, the framework's and its own: made, migrated, or only checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.events.tables import SCHEMA as EVENTS
from meristem.sagas.tables import SCHEMA as SAGAS
from meristem.services.idempotency import SCHEMA as ONCE
from meristem.system.plan import migrations_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.services.service import Service
    from meristem.storage.database import Database

SCHEMAS: Final = (EVENTS, ONCE, SAGAS)
"""Every room's tables are in every service's database: so each release knows all that may be recorded there."""


async def upgrade(database: Database, service: type[Service]) -> list[str]:
    """Bring the database up to date: first the framework's tables, then the service's; answers with the revisions."""
    applied = await database.upgrade(SCHEMAS)
    versions = _migrations(database, service)
    if versions is not None:
        from meristem.storage import migrations  # noqa: PLC0415 - needs Alembic

        applied += await migrations.upgrade(database, versions)
    elif service.tables is not None:
        await database.create(service.tables)
    return applied


async def pending(database: Database, service: type[Service]) -> list[str]:
    """The revisions that `upgrade` would apply."""
    found = await database.pending(SCHEMAS)
    versions = _migrations(database, service)
    if versions is not None:
        from meristem.storage import migrations  # noqa: PLC0415 - needs Alembic

        found += await migrations.pending(database, versions)
    return found


async def check(database: Database, service: type[Service]) -> None:
    """Refuse a database that is not up to date, and change nothing."""
    _refuse(database, await pending(database, service))


async def check_framework(database: Database) -> None:
    """Refuse a database whose framework tables have an older shape; where there are none they are made."""
    missing = await database.pending(SCHEMAS)
    if len(missing) == sum(len(each.revisions) for each in SCHEMAS):
        await database.upgrade(SCHEMAS)
    else:
        _refuse(database, missing)


def _refuse(database: Database, missing: Sequence[str]) -> None:
    if missing:
        raise ConfigurationError(
            f"database {database.name!r} lacks {', '.join(missing)}: run `meristem migrate` of this release first"
        )


def _migrations(database: Database, service: type[Service]) -> Path | None:
    """The folder of the service's revisions, if it has one and the database stays."""
    versions = migrations_of(service)
    return versions if versions.is_dir() and not database.is_temporary else None
