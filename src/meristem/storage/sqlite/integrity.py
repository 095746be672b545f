"""What a migration of a SQLite file must leave whole: triggers and indexes, ids that were given, references.

SQLite alters little of a table. Alembic copies it to a new one instead, drops the old one and renames the copy. That
loses AUTOINCREMENT, every trigger, and of indexes those on expressions and the order of the others. And as it is only
possible while foreign keys are not enforced, nothing else looks at them.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection
from sqlalchemy.schema import CreateTable

from meristem.storage.alembic_folder import COPY_PREFIX

_GIVES_NO_ID_TWICE: Final = re.compile(r"\bPRIMARY\s+KEY\b[^,]*\bAUTOINCREMENT\b", re.IGNORECASE)
_EXPRESSION: Final = -2  # in the place of a column's number
_LOST: Final = "meristem.lost"
_BESIDE: Final = (
    "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL"
)
_TABLE: Final = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"


class Lost(NamedTuple):
    """A trigger or an index that a copy of its table loses, as it was made."""

    kind: str
    name: str
    table: str
    text: str
    is_seen: bool  # by Alembic, which makes it again unless the revision drops it, in ascending order


def keep_what_a_copy_loses(connection: Connection, clause: Any, *_: Any) -> None:
    """Before a copy of a table is made: let it give no id twice where the table did so, and note what it loses."""
    if isinstance(clause, CreateTable) and clause.element.name.startswith(COPY_PREFIX):
        original = clause.element.name.removeprefix(COPY_PREFIX)
        text = connection.exec_driver_sql(_TABLE, (original,)).scalar()
        if text is not None and _GIVES_NO_ID_TWICE.search(text):
            clause.element.dialect_options["sqlite"]["autoincrement"] = True
        raw = cast("sqlite3.Connection", connection.connection.driver_connection)
        connection.info.setdefault(_LOST, []).extend(_lost(raw, original))


def _lost(raw: sqlite3.Connection, table: str) -> Iterator[Lost]:
    for kind, name, text in raw.execute(_BESIDE, (table,)).fetchall():
        columns = raw.execute('SELECT cid, "desc" FROM pragma_index_xinfo(?) WHERE key', (name,)).fetchall()
        has_expression = any(cid == _EXPRESSION for cid, _ in columns)
        if kind == "trigger" or has_expression or any(descending for _, descending in columns):
            yield Lost(kind, name, table, text, is_seen=kind == "index" and not has_expression)


def restore(connection: Connection) -> str | None:
    """Make again what copies have lost; what to tell of the first thing that can't be."""
    raw = cast("sqlite3.Connection", connection.connection.driver_connection)
    for each in connection.info.pop(_LOST, ()):
        now = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (each.name,)).fetchone()
        gone = raw.execute(_TABLE, (each.table,)).fetchone() is None
        # What Alembic sees and did not make again was dropped by the revision, or made in another shape.
        if gone or (now is None if each.is_seen else now is not None):
            continue
        if each.is_seen and _ascending(now[0]) != _ascending(each.text):
            continue
        try:
            if now is not None:
                raw.execute(f"DROP INDEX {_quoted(each.name)}")
            raw.execute(each.text)
            if each.kind == "trigger":
                _check_triggers(raw, each.table)
        except sqlite3.OperationalError as error:
            return (
                f"the {each.kind} {each.name} does not fit the altered {each.table} ({error}); let it drop that first"
            )
    return None


def _check_triggers(raw: sqlite3.Connection, table: str) -> None:
    """Raise sqlite3.OperationalError where a trigger means a column that is not there: SQLite makes it all the same."""
    columns = [_quoted(name) for (name,) in raw.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    changes = ", ".join(f"{each} = {each}" for each in columns)
    for begins, ends in (("INSERT INTO", "DEFAULT VALUES"), ("UPDATE", f"SET {changes}"), ("DELETE FROM", "")):
        raw.execute(f"EXPLAIN {begins} {_quoted(table)} {ends}")  # compiled with its triggers, and not run


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _ascending(text: str) -> str:
    """An index as it was made, but for the order of its columns and how it is spaced and quoted."""
    return re.sub(r'\s+|"|`|\bDESC\b|\bASC\b|\bIF\s+NOT\s+EXISTS\b', "", text, flags=re.IGNORECASE).lower()


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
