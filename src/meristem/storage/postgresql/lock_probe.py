"""Which locks a statement takes, whether it writes a table anew or reads all of it: seen in the server, not known.

Which statement takes which lock differs between PostgreSQL's versions, and a book of rules would be wrong for one of
them. So the statement is run on temporary tables like those of the schema, and the server is asked what it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import psycopg
from sqlalchemy import Connection, text

from meristem.storage.survival import Effect, Survival

LARGE: Final = 100_000_000  # bytes of a table, which take about a second to read, and more to write
_EXCLUSIVE: Final = "AccessExclusiveLock"
_MODES: Final = {  # those that one waits for who reads or writes, strongest first, and who waits
    _EXCLUSIVE: ("ACCESS EXCLUSIVE", "nobody reads or writes it until the migration ends"),
    "ExclusiveLock": ("EXCLUSIVE", "nobody writes to it until the migration ends"),
    "ShareRowExclusiveLock": ("SHARE ROW EXCLUSIVE", "nobody writes to it until the migration ends"),
    "ShareLock": ("SHARE", "nobody writes to it until the migration ends"),
    "ShareUpdateExclusiveLock": ("SHARE UPDATE EXCLUSIVE", "reads and writes go on"),
}
_HELD: Final = (
    "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted AND "
    "relation = ANY(%s)"
)
_STATES: Final = (
    "SELECT c.oid, c.relname, pg_relation_filenode(c.oid), pg_stat_get_xact_numscans(c.oid) FROM pg_class c "
    "WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind IN ('r', 'p')"
)
_REWRITTEN: Final = "add a new column beside it, which the release fills in pieces, and drop the old one later"
_READ: Final = (
    "ADD CONSTRAINT … NOT VALID here, and VALIDATE CONSTRAINT in a later revision; where a valid CHECK (… IS NOT NULL) "
    "is, SET NOT NULL reads nothing"
)
_INDEXED: Final = "make it by hand before, with CREATE INDEX CONCURRENTLY, and say `if_not_exists=True` here"


class _TableState(NamedTuple):
    """Where a table's rows are, and how often all of them were read in this transaction."""

    file: int
    scans: int


class LockProbe:
    """Temporary tables like a schema's, on a connection of its own; what is held before a statement stays held.

    `sizes` are those of the schema's own tables, in bytes.
    """

    def __init__(self, connection: Connection, sizes: dict[str, int]) -> None:
        self._connection = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        self._connection.commit()  # who has made a table has it locked: what a statement takes is seen after that
        self._sizes = sizes
        self._tables, self._states = self._look()
        self._held: set[tuple[int, str]] = set()

    def tolls(self, statement: str) -> Iterator[Effect]:
        """What a statement costs those who use its tables meanwhile."""
        try:
            with self._connection.transaction():
                self._connection.execute(statement)
        except psycopg.Error as error:
            what = f"takes locks that the plan could not look at ({type(error).__name__})"
            yield Effect(Survival.LOOK, what, "look at its page in PostgreSQL's manual")
            return
        held = {(oid, mode) for oid, mode in self._connection.execute(_HELD, (list(self._tables),))}
        _, states = self._look()
        for oid, table in self._tables.items():
            taken, all_held = _strongest(held - self._held, oid), _strongest(held | self._held, oid)
            if all_held is not None and (before := self._states.get(oid)):
                after = states.get(oid, before)
                does = after.file != before.file, after.scans != before.scans
                if taken is not None or any(does):
                    yield self._toll(table, taken, all_held, *does, is_index="INDEX" in statement.upper())
        self._held, self._states = held, states

    def _look(self) -> tuple[dict[int, str], dict[int, _TableState]]:
        found = self._connection.execute(_STATES).fetchall()
        return {row[0]: row[1] for row in found}, {row[0]: _TableState(*row[2:]) for row in found}

    def _toll(
        self, table: str, taken: str | None, held: str, is_rewritten: bool, is_read: bool, *, is_index: bool
    ) -> Effect:
        size = self._sizes.get(table, 0)
        lock, hurts = _MODES[held]
        if taken is None:
            lock = f"{lock} is held already"
        elif taken != held:
            lock = f"{_MODES[taken][0]}; {lock} is held already"
        does = "writes it anew" if is_rewritten else "reads all of it" if is_read else ""
        what = f"locks {table} ({lock})" + (f" and {does}: {size / 1e6:,.1f} MB" if does else "")
        if not does or size < LARGE or held == "ShareUpdateExclusiveLock":
            return Effect(Survival.SAFE, what, hurts if does else "")
        return Effect(Survival.UNSAFE, what, hurts, _REWRITTEN if is_rewritten else _INDEXED if is_index else _READ)


def _strongest(held: set[tuple[int, str]], oid: int) -> str | None:
    modes = {mode for each, mode in held if each == oid}
    return next((mode for mode in _MODES if mode in modes), None)


def sizes_in(connection: Connection, schema: str) -> dict[str, int]:
    """How many bytes each table of a schema takes."""
    query = (
        "SELECT c.relname, pg_table_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = :schema AND c.relkind IN ('r', 'p')"
    )
    return {name: int(size) for name, size in connection.execute(text(query), {"schema": schema})}


def rows_of(table: str, size: int) -> list[Effect]:
    """What it costs that rows of a table are changed, where that is more than a moment."""
    if size < LARGE:
        return []
    what = f"locks the rows of {table} that it changes: up to {size / 1e6:,.1f} MB"
    hurts = "who writes one of them waits until the migration ends"
    return [Effect(Survival.LOOK, what, hurts, "let the release change them in pieces, a transaction for each")]


def unseen(sizes: dict[str, int]) -> list[Effect]:
    """What is told of a statement behind a pooler, where no temporary table outlasts a transaction."""
    if max(sizes.values(), default=0) < LARGE:
        return []
    what = "takes locks that are not seen through a pooler, and there are large tables"
    return [Effect(Survival.LOOK, what, "plan with a URL that leads to the server itself")]
