"""What a migration of a SQLite file must leave whole: ids that were given are not given again, no reference dangles.

SQLite alters little of a table. Alembic copies it to a new one instead, drops the old one and renames the copy, which
loses AUTOINCREMENT. And as that is only possible while foreign keys are not enforced, nothing else looks at them.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.schema import CreateTable

_COPY: Final = "_alembic_tmp_"  # how Alembic names the table that takes an altered one's place
_GIVES_NO_ID_TWICE: Final = re.compile(r"\bPRIMARY\s+KEY\b[^,]*\bAUTOINCREMENT\b", re.IGNORECASE)
_TABLE: Final = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"


def keep_autoincrement(connection: Connection, clause: Any, *_: Any) -> None:
    """Before a copy of a table is made: let it give no id twice, where the table did so."""
    if isinstance(clause, CreateTable) and clause.element.name.startswith(_COPY):
        original = clause.element.name.removeprefix(_COPY)
        text = connection.exec_driver_sql(_TABLE, (original,)).scalar()
        if text is not None and _GIVES_NO_ID_TWICE.search(text):
            clause.element.dialect_options["sqlite"]["autoincrement"] = True


def highest_ids(raw: sqlite3.Connection) -> dict[str, int]:
    """The highest id that each table with AUTOINCREMENT has given."""
    if raw.execute(_TABLE, ("sqlite_sequence",)).fetchone() is None:
        return {}
    return dict(raw.execute("SELECT name, seq FROM sqlite_sequence"))


def restore_highest_ids(raw: sqlite3.Connection, before: dict[str, int]) -> None:
    """A copy of a table has only seen the ids of rows that are still there: tell it of all that were given."""
    now = highest_ids(raw)
    for table, highest in before.items():
        text = raw.execute(_TABLE, (table,)).fetchone()
        if text is None or not _GIVES_NO_ID_TWICE.search(text[0]) or now.get(table, 0) >= highest:
            continue
        raw.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))  # it has no row before the first id
        raw.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, highest))


def lost_references(raw: sqlite3.Connection, committed: Callable[[], sqlite3.Connection]) -> str | None:
    """What to tell of rows that a migration leaves and whose foreign key leads nowhere; not of those there before.

    `committed` opens another connection, which sees the database as it was.
    """
    if not (found := _dangling(raw)):
        return None
    earlier = committed()
    try:
        made = found - _dangling(earlier)
    finally:
        earlier.close()
    told = ", ".join(f"{count} of {table} refer to no row of {parent}" for (table, parent), count in made.items())
    return (
        f"it leaves rows without what they refer to ({told}): foreign keys are not enforced and nothing cascades while "
        "a revision runs; let it delete or change those rows, too"
        if made
        else None
    )


def _dangling(raw: sqlite3.Connection) -> Counter[tuple[str, str]]:
    """How many rows of a table refer to a row of another one that isn't there."""
    return Counter((table, parent) for table, _, parent, _ in raw.execute("PRAGMA foreign_key_check"))
