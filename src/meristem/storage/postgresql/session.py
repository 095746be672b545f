"""One connection to the server: runs single steps on it, with asyncpg's errors translated."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from meristem.errors import MeristemError
from meristem.storage.driver import Outcome, Statement
from meristem.storage.postgresql.translation import (
    RAISED,
    is_lost,
    is_outdated,
    is_repeatable,
    state_of,
    translate,
    unreadable,
    writes,
)

if TYPE_CHECKING:
    from meristem.log_positions import Position

_CHUNK: Final = 500  # rows handled at a time: between two chunks the event loop goes on
LEAD: Final = r"(?:\s|--[^\n]*(?:\n|$)|/\*(?s:.*?)\*/)*"
"""What may stand before the first word of a statement: comments."""
_CHANGES: Final = re.compile(rf"{LEAD}(INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE)
_RETURNS: Final = re.compile(r"\bRETURNING\b", re.IGNORECASE)
_STRING: Final = re.compile(r"'[^']*'")
_READ_ONLY: Final = "25006"
_NOTHING: Final = Outcome([], -1)
_ALIVE: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # seconds, seconds, times


class _OutOfRangeError(Exception):
    """The server keeps a value that Python can't hold."""


class Session:
    """A connection, and what is to be known of a statement that has just failed on it."""

    __slots__ = (
        "_connection",
        "_database",
        "_is_repeatable",
        "generation",
        "has_refused",
        "idle_since",
        "is_outdated",
        "is_undone",
        "only_reads",
        "replayed",
        "sqlstate",
        "writes",
    )

    def __init__(self, connection: Any, database: str, generation: int) -> None:
        self.generation = generation
        self.writes = False  # whether it is in the hands of a transaction
        self.idle_since = 0.0
        self.has_refused = False  # whether it was the server that refused the statement: its transaction has failed
        self.only_reads = False  # whether it is in a transaction of the adapter's own, for a statement that reads
        self.is_outdated = False  # whether the statement was prepared before its tables were changed
        self.is_undone = False  # whether it is certain that nothing of it happened
        self.sqlstate: str | None = None  # of the last error
        self.replayed: Position | None = None  # of a standby: what it was seen to have
        self._is_repeatable = False
        self._connection = connection
        self._database = database

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        closed: bool = self._connection.is_closed()
        return closed

    @property
    def may_repeat(self) -> bool:
        """Whether what failed, uncommitted, may go well the next time: on another connection, or after another one."""
        return self._is_repeatable or self.is_lost

    async def ask(self, text: str, *parameters: Any) -> tuple[Any, ...]:
        """The one row that a statement of the adapter's own gives."""
        try:
            return tuple(await self._connection.fetchrow(text, *parameters))
        except RAISED as error:
            failure = self._failed(error, text)
        raise failure

    async def send(self, text: str, patience: float | None = None) -> str:
        """Run what has no parameters, several statements perhaps; answers with the last one's command tag."""
        try:
            tag: str = await self._connection.execute(text, timeout=patience)
        except RAISED as error:
            failure = self._failed(error, text)
        else:
            return tag
        raise failure

    async def run(self, step: Statement) -> Outcome:
        """Run one step."""
        failure: Exception | None = None
        self.has_refused = self._is_repeatable = self.is_outdated = False
        step.failed = True  # unless all goes well
        try:
            outcome = await (self._many(step) if step.many else self._one(step.text, step.parameters, step))
        except RAISED as error:
            failure = self._failed(error, step.text)
        except _OutOfRangeError:
            failure = unreadable(self._database, step.text)
        else:
            if outcome.rowcount or step.otherwise is None:
                step.failed = False
                return outcome
        raise failure or step.otherwise or AssertionError

    async def cancel(self) -> None:
        """Ask the server to end the statement under way, whose waiter then hears how it went."""
        # What asyncpg offers for that cancels the wait as well: then nobody would know whether it had happened.
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._connection._cancel(sent)  # noqa: SLF001

    def keep_alive(self) -> None:
        """Have the kernel see within some seconds that the server's machine is gone."""
        own = self._connection._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg has no option for that
        if own is None or own.family not in (socket.AF_INET, socket.AF_INET6):
            return
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _ALIVE.items():
            if hasattr(socket, name):  # macOS has other names for some
                own.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)

    async def close(self, patience: float) -> None:
        """Say goodbye to the server, or just go where that takes too long."""
        try:
            await self._connection.close(timeout=patience)
        except RAISED:
            self.terminate()

    def terminate(self) -> None:
        """Close the connection without a word."""
        self._connection.terminate()

    def _failed(self, error: Any, text: str) -> MeristemError:
        is_answer = not isinstance(error, asyncpg.PostgresConnectionError)  # that one is asyncpg's own
        self.has_refused = isinstance(error, asyncpg.PostgresError) and is_answer
        self.is_undone = self.has_refused or isinstance(error, asyncpg.InterfaceError)
        self.sqlstate = state_of(error)
        if self.only_reads and self.sqlstate == _READ_ONLY:
            return writes(self._database, text)
        self._is_repeatable, self.is_outdated = is_repeatable(error), is_outdated(error)
        if isinstance(error, OSError) or is_lost(error):
            self.terminate()  # a statement that takes too long among them: what comes of it would meet the next one
        return translate(error, self._database, text)

    async def _one(self, text: str, parameters: Iterable[Any], step: Statement) -> Outcome:
        decode = step.decode
        if decode is None:
            return Outcome([], _count(await self._connection.execute(text, *parameters)))
        try:
            if step.first:
                row = await self._connection.fetchrow(text, *parameters)
                raw = [] if row is None else [row]
            elif step.planned_anew:
                prepared = await self._connection.prepare(text, name="")  # the unnamed one, which keeps no plan
                raw = await prepared.fetch(*parameters)
            else:
                raw = await self._connection.fetch(text, *parameters)
        except (ValueError, OverflowError):  # of Python's own types, and its text holds the value
            raise _OutOfRangeError from None
        if step.first:
            return Outcome(decode(raw, _described(raw[0])), 1) if raw else _NOTHING
        return await _decoded(raw, step) if raw else Outcome([], 0)

    async def _many(self, step: Statement) -> Outcome:
        """Run a statement for many rows; whether all of them or none is for the transaction to say."""
        changed, rows = 0, []
        for text, group in groupby(step.parameters, itemgetter(0)):
            query = text if step.decode is not None else _counting(text)
            while chunk := [parameters for _, parameters in islice(group, _CHUNK)]:
                raw = await self._connection.fetchmany(query, chunk)
                if step.decode is None:
                    changed += sum(count for (count,) in raw)
                elif raw:
                    rows += step.decode(raw, _described(raw[0]))
        return Outcome(rows, changed if step.decode is None else len(rows))


async def _decoded(raw: Sequence[Any], step: Statement) -> Outcome:
    assert step.decode is not None
    described = _described(raw[0])
    rows = step.decode(list(raw[:_CHUNK]), described)
    for start in range(_CHUNK, len(raw), _CHUNK):
        await asyncio.sleep(0)
        rows += step.decode(list(raw[start : start + _CHUNK]), described)
    return Outcome(rows, len(raw))


def _described(row: asyncpg.Record) -> list[tuple[str]]:
    return [(name,) for name in row.keys()]  # noqa: SIM118 - a record iterates over its values


def _count(tag: str) -> int:
    """The rows changed, of a command tag like `INSERT 0 1`."""
    return int(tag.rpartition(" ")[2]) if tag.startswith(("INSERT", "UPDATE", "DELETE", "MERGE")) else -1


def _counting(text: str) -> str:
    """The same statement for many rows, answering with how many rows each run has changed: asyncpg tells no tags."""
    text = text.rstrip().removesuffix(";")
    returning = " RETURNING 1" if _CHANGES.match(text) and not _RETURNS.search(_STRING.sub("", text)) else ""
    # In lines of their own: the text may end with a comment.
    return f"WITH changed AS ({text}\n{returning}) SELECT count(*) FROM changed"  # noqa: S608 - it is the statement
