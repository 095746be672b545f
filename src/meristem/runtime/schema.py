"""The tables of a service's database, the framework's and its own: made, migrated, or only checked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, MetaData, String, Table, select

from meristem.errors import ConfigurationError
from meristem.events.tables import SCHEMA as EVENTS
from meristem.sagas.tables import SCHEMA as SAGAS
from meristem.services.answers import SCHEMA as ONCE
from meristem.storage.declared import SCHEMA as DECLARED
from meristem.storage.declared import running_releases
from meristem.storage.lease import replicas
from meristem.storage.lease_tables import MEMBERS
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.storage.planned import PlannedRevision, refuse_unsafe
from meristem.storage.versions import REVISIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meristem.storage.database import Database

logger = logging.getLogger("meristem.storage")
SCHEMAS: Final = (LEASE, DECLARED, EVENTS, ONCE, SAGAS)
"""Every room's tables are in every service's database: so each release knows all that may be recorded there."""


HALF_COPIED: Final = Table("meristem_half_copied", MetaData(), Column("service", String(200), primary_key=True))
"""Is in a database as long as not all is there of what is copied to it."""


async def upgrade(
    database: Database, versions: Path, tables: Callable[[], MetaData | None], *, unsafe: bool = False
) -> list[str]:
    """Bring the database up to date: first the framework's tables, then the service's; answers with the revisions.

    `versions` is the folder of the service's revisions; where it has none, its `tables` are made as they are. What
    they say otherwise than the database is told in the log. Unless `unsafe`, revisions that a running release does not
    survive are refused with a ConfigurationError, whether one runs or not. So is a database that is half copied.
    """
    await _refuse_half(database)
    return await make_newest(database, versions, tables, unsafe=unsafe)


async def make_newest(
    database: Database, versions: Path, tables: Callable[[], MetaData | None], *, unsafe: bool = False
) -> list[str]:
    """As `upgrade`, whatever is in the tables."""
    if not unsafe:
        refuse_unsafe(database.name, await database.planned(SCHEMAS))
    earlier = await running_on(database)
    applied, own = await database.upgrade(SCHEMAS), tables()
    if database.is_temporary:
        if own is not None:
            await database.create(own)
        return applied
    from meristem.storage import drift  # noqa: PLC0415 - only where something stays

    is_new = own is not None and set(own.tables).isdisjoint(await database.tables())
    if (folder := _folder(versions)) is not None:
        from meristem.storage import migrations  # noqa: PLC0415 - needs Alembic

        applied += await migrations.upgrade(database, folder, None if unsafe else await _guard(database, folder))
    elif own is not None:
        await database.create(own)
        if is_new:
            await drift.agree(database, own, None)
    if own is not None:
        _tell(database, await drift.new_drift(database, own, folder), folder)
    if applied:
        await _warn_of_older(database, applied, earlier)
    return applied


async def _guard(database: Database, folder: Path) -> Callable[[], None]:
    """What refuses the revisions of a folder, if a running release does not survive them."""
    releases = await running_releases(database)

    def check() -> None:
        from meristem.storage.foresight import rehearse_in_twin  # noqa: PLC0415 - needs Alembic

        refuse_unsafe(database.name, rehearse_in_twin(database, folder, releases))

    return check


async def plan(database: Database, versions: Path) -> list[PlannedRevision]:
    """What `upgrade` would do, statement by statement, and whether a running release survives it."""
    found = await database.planned(SCHEMAS)
    if (folder := _folder(versions)) is not None and not database.is_temporary:
        from meristem.storage.foresight import foresee  # noqa: PLC0415 - needs Alembic

        found += await foresee(database, folder, await running_releases(database))
    return found


async def running_on(database: Database) -> list[str]:
    """The names of the replicas that run on it; none where it is new."""
    return await replicas(database) if MEMBERS.name in await database.tables() else []


async def pending(database: Database, versions: Path, tables: Callable[[], MetaData | None]) -> list[str]:
    """The revisions that `upgrade` would apply; where there are none, what `tables` says otherwise."""
    found = await _pending(database, versions)
    if found or database.is_temporary or (own := tables()) is None:
        return found
    from meristem.storage import drift  # noqa: PLC0415 - as above

    return await drift.drift(database, own, _folder(versions))


async def check(database: Database, versions: Path, tables: Callable[[], MetaData | None]) -> None:
    """Refuse a database that is not up to date, and change nothing; tell what `tables` says otherwise."""
    await _refuse_half(database)
    _refuse(database, await _pending(database, versions))
    _tell(database, await pending(database, versions, tables), _folder(versions))


async def _pending(database: Database, versions: Path) -> list[str]:
    found = await database.pending(SCHEMAS)
    if (folder := _folder(versions)) is not None and not database.is_temporary:
        from meristem.storage import migrations  # noqa: PLC0415 - needs Alembic

        found += await migrations.pending(database, folder)
    return found


def _tell(database: Database, differences: Sequence[str], folder: Path | None) -> None:
    if not differences:
        return
    new = f"`meristem migrate --new MESSAGE --service {database.name}`"
    remedy = f"write a revision with {new}"
    if folder is None:
        remedy = (
            f"bring `tables=` back, write the first revision with {new} and change them then, or remove a database "
            "that holds nothing of worth"
        )
    logger.warning("database %r is not as `tables=` says: %s; %s", database.name, ", ".join(differences), remedy)


async def is_new(database: Database) -> bool:
    """Whether nobody has begun with it: none of the framework's tables is there, and no copy is under way."""
    has_none = len(await database.pending(SCHEMAS)) == sum(len(each.revisions) for each in SCHEMAS)
    return has_none and HALF_COPIED.name not in await database.tables()


async def check_framework(database: Database) -> None:
    """Refuse a database whose framework tables have an older shape, or not all rows yet; a new one gets them."""
    await _refuse_half(database)
    # All of them are missing: the database is new, not old, and there is nothing that a migration could endanger.
    if await is_new(database):
        await database.upgrade(SCHEMAS)
    else:
        _refuse(database, await database.pending(SCHEMAS))


async def _warn_of_older(database: Database, applied: Sequence[str], earlier: Sequence[str]) -> None:
    """Tell which replicas still run on tables that a revision has just made another release's.

    They are of the `earlier` ones: whichever joined since found the revision applied. None is in its way: those of the
    release that already does without what it takes go on well, and nothing in the database tells of which release a
    replica is. But where their statements fail, nothing else would say why.
    """
    marked = await database.fetch_all(select(REVISIONS.c.name).where(~REVISIONS.c.compatible), into=str)
    against = [each for each in applied if each.rpartition(" ")[2] in marked]
    if against and (running := [each for each in await replicas(database) if each in earlier]):
        logger.warning(
            "database %r was changed by %s, not marked as compatible, while %s ran on it: what fails there is mended "
            "by its restart; expand in one release and contract in a later one, or stop all before",
            database.name, ", ".join(against), ", ".join(running),
        )  # fmt: skip


async def _refuse_half(database: Database) -> None:
    if not database.is_temporary and HALF_COPIED.name in await database.tables():
        raise ConfigurationError(
            f"database {database.name!r} has not all that was copied to it: repeat `meristem data copy`, or go on with "
            "the database that it was copied from"
        )


def _refuse(database: Database, missing: Sequence[str]) -> None:
    if missing:
        raise ConfigurationError(
            f"database {database.name!r} lacks {', '.join(missing)}: run `meristem migrate` of this release first"
        )


def _folder(versions: Path) -> Path | None:
    """The folder of the service's own revisions, if it has one."""
    return versions if versions.is_dir() else None
