"""The highest id that a table has ever given, which its rows don't tell: where none may come twice, it moves too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, text

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Column, Table

    from meristem.storage.unit import UnitOfWork

_GIVEN = {
    "sqlite": text("SELECT seq FROM sqlite_sequence WHERE name = :of_table"),
    "postgresql": text(
        "SELECT pg_catalog.pg_sequence_last_value(pg_catalog.pg_get_serial_sequence(:of_table, :of_column)::regclass)"
    ),
}
_RAISED = {
    "sqlite": text("INSERT INTO sqlite_sequence (name, seq) VALUES (:of_table, :highest)"),
    "postgresql": text("SELECT setval(pg_catalog.pg_get_serial_sequence(:of_table, :of_column)::regclass, :highest)"),
}
_FORGET: Final = text("DELETE FROM sqlite_sequence WHERE name = :of_table")  # of which nothing keeps a second row away


def counted(table: Table) -> list[Column[Any]]:
    """The columns for which a table may count: its key where that is one number, and what is declared an identity."""
    key = table.autoincrement_column
    return [each for each in table.columns if each is key or each.identity is not None]


def gives_ids(column: Column[Any], system: str) -> bool:
    """Whether a column's values come from a count of its own, beside its rows."""
    if system != "sqlite":
        return True
    table = column.table
    return column is table.autoincrement_column and bool(table.dialect_options["sqlite"]["autoincrement"])


async def highest_id(unit: UnitOfWork, column: Column[Any], system: str) -> int:
    """The highest value of a column in its rows, or in rows that there once were; 0 where there was none."""
    highest = await unit.fetch_value(select(func.max(column))) or 0
    if gives_ids(column, system):
        highest = max(highest, await unit.fetch_value(_of(_GIVEN, system), _names(column, system)) or 0)
    return int(highest)


async def raise_ids(unit: UnitOfWork, column: Column[Any], system: str, highest: int) -> None:
    """Let a column get higher values than this one from now on."""
    if not highest or not gives_ids(column, system):
        return
    names = _names(column, system)
    if system == "sqlite":
        await unit.execute(_FORGET, names)
    await unit.execute(_of(_RAISED, system), {**names, "highest": highest})


def _of(known: dict[str, Any], system: str) -> Any:
    if system not in known:
        raise ConfigurationError(
            f"nothing tells how {system} counts the ids that a table gives; that is known of {', '.join(known)}"
        )
    return known[system]


def _names(column: Column[Any], system: str) -> dict[str, Any]:
    table = column.table
    if system == "sqlite":
        return {"of_table": table.name}
    quoted = table.name.replace('"', '""')  # read as an identifier there, and the column as a text
    return {"of_table": f'"{quoted}"', "of_column": column.name}
