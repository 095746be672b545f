"""Copies what one service keeps to another database: in one transaction, and compared before that is committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, delete, func, literal, select, text, tuple_

from meristem.errors import MeristemError, StorageError
from meristem.storage.lock_patience import until_free
from meristem.transfer.given_ids import counted, highest_id, raise_ids
from meristem.transfer.quiet_tables import quiet
from meristem.transfer.row_digest import TableDigest
from meristem.transfer.tables import VALUE, CopiedTable

if TYPE_CHECKING:
    from sqlalchemy.sql import Select

    from meristem.storage.database import Database
    from meristem.storage.unit import UnitOfWork

Tell = Callable[[str, int, int], None]
"""Hears of which table how many rows of how many are copied."""

PAGE: Final = 500  # rows
_NULL: Final = "null "  # begins the name of what tells NULL from JSON's null
_KEEPS_STILL: Final = {"postgresql": ("SET LOCAL lock_timeout = '2s'", "LOCK TABLE {names} IN SHARE MODE")}
"""What keeps others from writing where a write transaction alone does not; who waits for it has them wait as well."""


async def copy_rows(source: Database, target: Database, tables: list[CopiedTable], tell: Tell) -> dict[str, int]:
    """Copy all rows to tables that are there already, in place of what is in them; answers with their numbers.

    Raises StorageError where the target, read again, has other rows than the source; then nothing is changed. Where
    others use the source's tables, it comes again a few times before it raises StorageUnavailable.
    """
    return await until_free(source.name, lambda: _copy_rows(source, target, tables, tell))


async def _copy_rows(source: Database, target: Database, tables: list[CopiedTable], tell: Tell) -> dict[str, int]:
    async with source.begin() as reading, target.begin() as writing:
        await _keep_still(reading, source, tables)
        async with quiet(writing, [each.table for each in tables], target.system):
            for each in reversed(tables):
                await writing.execute(delete(each.table))
            copied = {each.table.name: await _copy(each, reading, writing, tell) for each in tables}
            for each in tables:
                if each.later:
                    await _add_later(each, reading, writing)
        for each in tables:
            for column in counted(each.table):
                await raise_ids(writing, column, target.system, await highest_id(reading, column, source.system))
        for each in tables:
            await _compare(each, copied[each.table.name], writing)
    return {name: each.rows for name, each in copied.items()}


async def _keep_still(reading: UnitOfWork, source: Database, tables: Iterable[CopiedTable]) -> None:
    names = ", ".join('"{}"'.format(each.table.name.replace('"', '""')) for each in tables)
    for each in _KEEPS_STILL.get(source.system, ()):
        await reading.execute(text(each.format(names=names)))


async def _copy(each: CopiedTable, reading: UnitOfWork, writing: UnitOfWork, tell: Tell) -> TableDigest:
    name, found = each.table.name, TableDigest()
    total = int(await reading.fetch_value(select(func.count()).select_from(each.table)) or 0)
    insertion, later = each.insertion(), {column.key for column in each.later}
    async for rows in _pages(each, reading):
        found.add(rows)
        values = [{f"{VALUE}{key}": value for key, value in row.items() if key not in later} for row in rows]
        try:
            await writing.execute(insertion, values)
        except MeristemError as error:
            error.add_note(f"while a row of {name} was written to {writing.name!r}")
            raise
        tell(name, found.rows, total)
    if found.rows != total:
        raise StorageError(f"of {name}, {total} rows were to be read and {found.rows} were: are there keys of NULL?")
    return found


async def _add_later(each: CopiedTable, reading: UnitOfWork, writing: UnitOfWork) -> None:
    wanted = {column.key for column in (*each.key, *each.later)}
    async for rows in _pages(each, reading):
        await writing.execute(each.addition(), [{f"{VALUE}{key}": row[key] for key in wanted} for row in rows])


async def _compare(each: CopiedTable, wanted: TableDigest, writing: UnitOfWork) -> None:
    found = TableDigest()
    async for rows in _pages(each, writing):
        found.add(rows)
    if found != wanted:
        raise StorageError(
            f"{each.table.name} has {found.rows} rows in the new database of {writing.name!r} and {wanted.rows} in the "
            "old one, or values that are not the same: nothing was changed there; does one of them keep a column less "
            "exactly?"
        )


async def _pages(each: CopiedTable, unit: UnitOfWork) -> AsyncIterator[list[dict[str, Any]]]:
    """All rows in the order of their key, some at a time; those of a table without one at once."""
    nulls = [column for column in each.columns if isinstance(column.type, JSON)]
    statement: Select[Any] = select(
        *(column.label(column.key) for column in each.columns),
        *(column.is_(None).label(f"{_NULL}{column.key}") for column in nulls),
    )
    key = each.key
    if not key:
        if rows := await unit.fetch_all(statement):
            yield [_told_apart(row, nulls) for row in rows]
        return
    statement = statement.order_by(*key).limit(PAGE)
    after = statement
    while rows := await unit.fetch_all(after):
        yield [_told_apart(row, nulls) for row in rows]
        last = [literal(rows[-1][column.key], column.type) for column in key]
        after = statement.where(key[0] > last[0] if len(key) == 1 else tuple_(*key) > tuple_(*last))


def _told_apart(row: dict[str, Any], nulls: Iterable[Any]) -> dict[str, Any]:
    """A row in which None is NULL, and JSON's null is `JSON.NULL`."""
    for column in nulls:
        if not row.pop(f"{_NULL}{column.key}") and row[column.key] is None:
            row[column.key] = JSON.NULL
    return row
