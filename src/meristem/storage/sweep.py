"""What is old is found by a walk along the primary key, in pieces, so that no row needs an index by its age."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select, tuple_

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Table

    from meristem.storage.database import Database

_PIECE: Final = 500  # rows that are looked at, and deleted at most, by one statement
_PAUSE: Final = 0.02  # seconds of the machine between two pieces


class Sweep:
    """Finds the rows of a table whose `age` lies before a moment, and for which `which` holds.

    The primary key must be of text, and never empty. An index by age would be one more page in every commit that writes
    a row. A walk reads each row once, a few hundred at a time, and leaves the writer alone where nothing is old.
    """

    def __init__(self, table: Table, age: Column[Any], which: ColumnElement[bool] | None = None) -> None:
        columns = list(table.primary_key.columns)
        self._names = [column.name for column in columns]
        is_old = age < bindparam("before", type_=age.type)
        is_old = is_old if which is None else is_old & which
        after = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in columns))
        self.piece = (
            select(*columns, is_old.label("is_old")).where(tuple_(*columns) > after).order_by(*columns).limit(_PIECE)
        )
        of_row = (column == bindparam(f"of_{column.name}", type_=column.type) for column in columns)
        self.deletion = delete(table).where(*of_row, is_old)

    async def find(self, database: Database, before: Any) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """Walk through the whole table; gives the primary keys of what is old, a piece at a time."""
        after, is_last = [""] * len(self._names), False
        while not is_last:
            given = {f"after_{name}": value for name, value in zip(self._names, after, strict=True)}
            rows = await database.fetch_all(self.piece, given | {"before": before})
            if old := [each for each in rows if each["is_old"]]:
                yield old
            is_last = len(rows) < _PIECE
            if not is_last:
                after = [rows[-1][name] for name in self._names]
                await asyncio.sleep(_PAUSE)

    async def delete(self, database: Database, before: Any) -> int:
        """Delete what is old, each piece in a transaction of its own; answers with how many rows that were."""
        deleted = 0
        async for old in self.find(database, before):
            values = [{f"of_{name}": each[name] for name in self._names} | {"before": before} for each in old]
            deleted += (await database.execute(self.deletion, values)).rowcount
        return deleted
