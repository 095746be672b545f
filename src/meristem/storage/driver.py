"""The port to a database: what an adapter must offer to the rest of storage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql import Executable

from meristem.storage.database_file import DatabaseFile
from meristem.storage.twin import Twin

Description = Sequence[Sequence[Any]]
"""The columns of raw rows as PEP 249 describes them: first of all by their names."""

Decoder = Callable[[list[Any], Description], list[Any]]
"""Turns raw rows into what the caller asked for, one for one."""


BROKEN: Final = "the disk of its database fails"
FULL: Final = "the disk of its database is full"
LOCKED: Final = "its database is locked"
READ_ONLY: Final = "its database takes no writes now"
AWAY: Final = "its database is out of reach"
_SHOWN = 300


class Outcome(msgspec.Struct, frozen=True):
    """What a step gave: its decoded rows, and how many rows it changed (-1 where that has no meaning)."""

    rows: list[Any]
    rowcount: int


class Statement(msgspec.Struct, eq=False):
    """One statement ready for a driver: its text, its encoded parameters, and what to make of its rows.

    With `many`, `parameters` is an iterable consumed by the driver off the event loop: for each row the text to run,
    which is not always `text`, and its values.
    `decode` is None when rows aren't wanted; `first` says that one row is enough. `otherwise` is raised by a step that
    changes no row; what is `urgent` comes before whatever else waits for a connection; what is `planned_anew` is run
    by no plan of before. A driver sets `failed` on the step whose failure it raises.
    """

    text: str
    parameters: Iterable[Any] = ()
    many: bool = False
    decode: Decoder | None = None
    first: bool = False
    otherwise: Exception | None = None
    urgent: bool = False
    planned_anew: bool = False
    failed: bool = False

    def __repr__(self) -> str:
        return f"Statement({shorten(self.text)!r})"  # its values may be personal


class Withdrawn(asyncio.CancelledError):
    """A commit whose wait was cancelled, and of which nothing happens."""


class Transaction(Protocol):
    """One write transaction. It begins with its first step and ends with `commit` or `abandon`, once."""

    @property
    def is_open(self) -> bool:
        """Whether the database holds it: begun, and neither committed, abandoned nor lost."""
        ...

    async def run(self, steps: Sequence[Statement]) -> Outcome:
        """Run the steps in one hop and answer with the last one's outcome; a cancelled wait ends the transaction."""
        ...

    async def commit(self, steps: Sequence[Statement] = ()) -> Outcome:
        """Run the steps and commit, in one hop; returns when it is durable. An error rolls back; a cancelled wait
        is answered only when the commit's fate is known, with CancelledError if it happened and Withdrawn if not."""
        ...

    def abandon(self) -> None:
        """Roll back without waiting; whatever starts afterwards sees it done."""
        ...


class Driver(Protocol):
    """A database that is open: short reads on their own, and write transactions one after the other or in parallel.

    What its library raises never leaves it: a constraint that says no is an IntegrityViolation, a statement or a value
    that is wrong a MisuseError, a lock that outlasts its patience a StorageUnavailable, everything else a StorageError
    that says what to do. A parameter's value never stands in their texts.
    Every adapter passes `tests/suites/database.py`.
    """

    @property
    def system(self) -> str:
        """The database system's name in OpenTelemetry's list of `db.system.name`: `sqlite`, `postgresql`."""
        ...

    @property
    def server(self) -> str:
        """The server's address, `db.internal:5432`; empty for a database that has none."""
        ...

    @property
    def writes_side_by_side(self) -> bool:
        """Whether write transactions run at the same time: then statements that take turns lock rows, `FOR UPDATE`."""
        ...

    @property
    def is_temporary(self) -> bool:
        """Whether it is empty at every start and gone with `stop`: nothing of it is ever migrated."""
        ...

    @property
    def file(self) -> DatabaseFile | None:
        """The one file that it is; None for a temporary one, and where a server keeps it and has tools to copy it."""
        ...

    @property
    def announcement(self) -> Executable | None:
        """What tells other processes, by the commit that it is part of, that something waits; None if none listens."""
        ...

    @property
    def doubts(self) -> list[Callable[[], None]]:
        """Whom it calls, on the event loop, when nobody can tell whether a commit has happened."""
        ...

    @property
    def listeners(self) -> list[Callable[[], None]]:
        """Whom an announcement calls, on the event loop; also where one may have been missed."""
        ...

    @property
    def dialect(self) -> Dialect:
        """What statements are compiled with."""
        ...

    @property
    def tables(self) -> Statement:
        """What names the tables that exist, one a row; of transactions that begin with it one runs at a time.

        Such a transaction waits for a table that others use for a moment only, and then fails with TableInUse.
        """
        ...

    @property
    def indexes(self) -> Statement:
        """What names the indexes that exist, one a row."""
        ...

    async def start(self) -> None:
        """Open the database; raises StorageError when it can't be opened."""
        ...

    async def stop(self) -> None:
        """Finish commits under way, roll back what is left, close."""
        ...

    def exists(self) -> bool:
        """Whether there is something to open; else `start` would make it."""
        ...

    def missing(self) -> str | None:
        """What is gone of an open database, a deleted file for instance, and what to do; None when all is there.

        Asked each second on the event loop. What is written while something is missing raises a StorageError.
        """
        ...

    def close_soon(self) -> None:
        """Close without waiting: the last resort for a database that was not stopped."""
        ...

    def try_read(self, step: Statement) -> Outcome | None:
        """Run one reading statement outside any transaction, if that is done on the spot; else `read` must."""
        ...

    async def read(self, step: Statement) -> Outcome:
        """Run one reading statement outside any transaction."""
        ...

    def transaction(self) -> Transaction:
        """A new write transaction, not begun yet."""
        ...

    def migration(self) -> AbstractContextManager[Connection]:
        """A connection to change the schema with, from a thread, whether the driver is started or not.

        It is inside one transaction, which commits at the block's end; of the replicas that ask, one has it at a time.
        """
        ...

    def twin(self) -> AbstractContextManager[Twin]:
        """A database of the same shape and without rows, to try a migration in: from a thread, started or not."""
        ...


def shorten(text: str) -> str:
    """A statement's text on one line, cut where a reader has seen enough."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
