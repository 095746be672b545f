"""What `tables=` says otherwise than the database, told before a statement fails by it.

A digest of what was found alike is kept in the database: a start that finds nothing new compares nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, select

from meristem.storage import migrations
from meristem.storage.alembic_folder import FRAMEWORK_PREFIX, config_of, is_the_services
from meristem.storage.database import Database

_AGREED: Final = Table(f"{FRAMEWORK_PREFIX}agreed", MetaData(), Column("fingerprint", String(64), primary_key=True))
_ONLY_DECLARED: Final = "is only in `tables=`"
_ONLY_KEPT: Final = "is only in the database"


async def drift(database: Database, tables: MetaData, versions: Path | None) -> list[str]:
    """What differs, in words, and [] for a database that a newer release has migrated; nothing is changed.

    `versions` is the folder of the service's revisions, None where it has none: then a table that is missing is no
    difference, for a start makes it. A table that only the database has is its own affair.
    """

    def compare(connection: Connection) -> list[str]:
        if versions is not None and migrations.is_ahead(connection, config_of(connection, versions)):
            return []
        return sorted(_differences(connection, tables, with_tables=versions is not None))

    return await migrations.in_thread(database, compare)


async def new_drift(database: Database, tables: MetaData, versions: Path | None) -> list[str]:
    """As `drift`, for a start: what was found alike is remembered, and not compared again."""
    wanted = _fingerprint(database, tables, versions)
    if _AGREED.name in await database.tables() and await database.fetch_value(select(_AGREED)) == wanted:
        return []
    found = await drift(database, tables, versions)
    if not found:
        await agree(database, tables, versions)
    return found


async def agree(database: Database, tables: MetaData, versions: Path | None) -> None:
    """Remember that the database has the tables as they are declared."""
    await database.create(_AGREED.metadata)
    async with database.begin() as tx:
        tx.defer(delete(_AGREED))
        tx.defer(insert(_AGREED), {"fingerprint": _fingerprint(database, tables, versions)})


def _fingerprint(database: Database, tables: MetaData, versions: Path | None) -> str:
    revisions = "" if versions is None else migrations.fingerprint(versions)
    return hashlib.sha256("\n".join([revisions, *database.definition(tables)]).encode()).hexdigest()


def _differences(connection: Connection, tables: MetaData, *, with_tables: bool) -> Iterable[str]:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - costs 60 ms, which most starts needn't pay
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

    options = {"include_object": is_the_services}
    for found in compare_metadata(MigrationContext.configure(connection, opts=options), tables):
        changes: Any = found
        for each in changes if isinstance(changes, list) else [changes]:
            words = _in_words(tables, *each)
            if words is not None and (with_tables or each[0] not in ("add_table", "add_index")):
                yield words


def _in_words(tables: MetaData, kind: str, *details: Any) -> str | None:
    """One of Alembic's differences; None for a table of the database that `tables` lacks, or an index of such."""
    verb, _, thing = kind.partition("_")
    if verb == "modify":
        _, table, column = details[:3]
        return f"column {table}.{column} has another {thing}"
    where = _ONLY_DECLARED if verb == "add" else _ONLY_KEPT
    if thing == "column":
        return f"column {details[1]}.{details[2].name} {where}"
    if thing == "table":
        return f"table {details[0].name} {where}" if verb == "add" else None
    if thing in ("index", "constraint", "fk") and details[0].table.name in tables.tables:
        named = f" {details[0].name}" if details[0].name else ""
        return f"{'foreign key' if thing == 'fk' else thing}{named} of {details[0].table.name} {where}"
    return None
