"""Which tables of a service's database are copied, in which order, and what of their rows comes later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import JSON, Column, Table, bindparam, insert, null, update

from meristem.errors import ConfigurationError
from meristem.runtime.schema import SCHEMAS
from meristem.storage.alembic_folder import FRAMEWORK_PREFIX

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.sql.dml import Insert, Update

VALUE: Final = "v_"  # begins a value's name: SQLAlchemy keeps the columns' own names for itself


class CopiedTable(NamedTuple):
    """One table: the columns that have values of their own, and those that refer to rows which may come later."""

    table: Table
    columns: Sequence[Column[Any]]
    later: Sequence[Column[Any]]

    @property
    def key(self) -> list[Column[Any]]:
        """What a row is known by; nothing where the table has no primary key."""
        return list(self.table.primary_key.columns)

    def insertion(self) -> Insert:
        """The statement that writes a row, with NULL for what comes later."""
        written: dict[Any, Any] = {each: _value(each) for each in self.columns}
        return insert(self.table).values(written | {each: null() for each in self.later})

    def addition(self) -> Update:
        """The statement that writes what comes later."""
        found = update(self.table).where(*(each == _value(each) for each in self.key))
        return found.values({each: _value(each) for each in self.later})


def tables_of(own: MetaData | None) -> list[CopiedTable]:
    """The framework's tables and the service's, those that others refer to first.

    Raises ConfigurationError for rows that could be written in no order.
    """
    found: list[Table] = [table for schema in SCHEMAS for table in schema.tables.sorted_tables]
    found += [] if own is None else own.sorted_tables
    return [_copied(table, found[: number + 1]) for number, table in enumerate(found)]


def undeclared(present: Iterable[str], tables: Iterable[CopiedTable]) -> list[str]:
    """The service's tables that are in its database alone: nothing tells which values they hold."""
    known = {each.table.name for each in tables} | {"alembic_version"}
    others = set(present) - known
    return sorted(each for each in others if not each.startswith((FRAMEWORK_PREFIX, "sqlite_")))


def _copied(table: Table, before: Sequence[Table]) -> CopiedTable:
    columns = [each for each in table.columns if each.computed is None]
    earlier = {each.name for each in before if each is not table}
    later = [each for each in columns if any(key.column.table.name not in earlier for key in each.foreign_keys)]
    for each in later:
        if not each.nullable or not list(table.primary_key.columns) or each.primary_key:
            raise ConfigurationError(
                f"{table.name}.{each.name} refers to rows that may come later, and can't be empty until then: let it "
                "be NULL for the time of the copy, in both databases"
            )
    return CopiedTable(table, columns, later)


def _value(column: Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, JSON):
        # Where None is NULL, what is JSON's null is said by `JSON.NULL`: so both can be written.
        kind = kind.copy()
        kind.none_as_null = True
    return bindparam(f"{VALUE}{column.key}", type_=kind)
