"""What is old is found by a walk along the primary key, in pieces, so that no row needs an index by its age."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sqlalchemy import Float, bindparam, delete, select, tuple_

from meristem.clock import SteadyTime
from meristem.errors import StorageError
from meristem.failure_log import log_failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Column, ColumnElement, Table

    from meristem.clock import Clock
    from meristem.storage.database import Database

logger: Final = logging.getLogger("meristem.storage")

_PIECE: Final = 500  # rows that are looked at, and deleted at most, by one statement
_PAUSE: Final = 0.02  # seconds of the machine between two pieces
_AT_FIRST: Final = 600.0  # seconds, once the service has started and has nothing better to do
_DAY: Final = 86400.0  # seconds: a thirtieth of the time for which records, answers and sagas are kept


class Sweep:
    """Finds the rows of a table whose `age` lies before a moment, and for which `which` holds.

    The primary key must be of text, and never empty. An index by age would be one more page in every commit that writes
    a row. A walk reads each row once, a few hundred at a time, and leaves the writer alone where nothing is old.
    """

    def __init__(self, table: Table, age: Column[Any], which: ColumnElement[bool] | None = None) -> None:
        self.columns = columns = list(table.primary_key.columns)
        self._names = [column.name for column in columns]
        is_old = age < bindparam("before", type_=age.type)
        is_old = is_old if which is None else is_old & which
        after = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in columns))
        self.piece = (
            select(*columns, is_old.label("is_old")).where(tuple_(*columns) > after).order_by(*columns).limit(_PIECE)
        )
        of_row = (column == bindparam(f"of_{column.name}", type_=column.type) for column in columns)
        self.deletion = delete(table).where(*of_row, is_old)
        self._in_seconds = isinstance(age.type, Float)  # since 1970, not as a time of day

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

    def delete_daily(
        self, database: Database, clock: Clock, retention: timedelta, what: str
    ) -> Coroutine[Any, Any, NoReturn]:
        """Delete once a day what is older than `retention`, until this is cancelled; the log calls it `what`."""

        async def forget(before: datetime) -> None:
            await self.delete(database, before.timestamp() if self._in_seconds else before)

        return forget_daily(forget, clock, retention, f"{database.name}: {what}")


async def forget_daily(
    forget: Callable[[datetime], Awaitable[object]], clock: Clock, retention: timedelta, what: str
) -> NoReturn:
    """Have `forget` delete once a day what is older than `retention`, until this is cancelled; the log calls it `what`.

    What is forgotten too early is done twice: a clock that was set forward makes nothing old.
    """
    passing = SteadyTime(clock)
    await clock.sleep(_AT_FIRST)
    while True:
        try:
            await forget(passing.earlier() - retention)
        except StorageError as error:
            log_failure(logger, error, "%s could not be forgotten; trying again later", what)
        await clock.sleep(_DAY)
