"""What PostgreSQL's errors mean to the person who reads them; the value of a parameter is never part of a message.

The server's DETAIL holds values, and so do its messages about data, and asyncpg's own about an argument: none of them
is passed on, and the errors made of them have no cause that a traceback would show.
"""

from __future__ import annotations

import re
from typing import Any, Final

import asyncpg

from meristem.errors import IntegrityViolation, MeristemError, MisuseError, StorageError, StorageUnavailable
from meristem.storage.driver import AWAY, FULL, LOCKED, READ_ONLY, shorten
from meristem.storage.lock_patience import TableInUse

RAISED: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises where a statement or a connection fails."""

_VIOLATIONS: Final = {"23505": "unique", "23503": "foreign key", "23502": "not null", "23514": "check"}
_TOLD: Final = ("0A", "23", "25", "28", "3D", "3F", "40", "42", "53", "55", "57")
"""The classes of errors whose first line names things of the schema and of the server, never a value."""
_LASTING: Final = ("42P01", "42703", "3F000", "42501")  # until somebody migrates, or gives a right
_REPEATABLE: Final = ("40001", "40P01")  # serialization failure, deadlock
_PASSING: Final = ("08", "40", "53", "57P", "25006", "25P03")
_LOCKED: Final = "55P03"
_GONE: Final = ("57P01", "57P02", "57P03", "57P05", "25P03", "25006")
_REMEDIES: Final = {
    "42P01": ": the database has another schema than this code; run its migrations (`meristem migrate`), or the newer "
    "release that has migrated it already",
    "42501": ": the role may not do that; give it the right, or let it own the schema",
    "25006": ": the server takes no writes: it is a standby since a fail-over, or default_transaction_read_only is on; "
    "the next statement asks for a server that takes some",
    "40001": ": another transaction was faster; repeat the unit of work",
    "40P01": ": two transactions wait for each other; take rows in one order everywhere, or repeat the unit of work",
    "53100": ": make room on the server's disk; writes go on as soon as there is room",
    "53300": ": the server's max_connections are in use; lower `?pool=` or `?server_pool=`, or put a pooler before it",
    "55P03": ": another transaction holds the lock for longer than lock_timeout",
    "57014": ": it took longer than the role's statement_timeout",
}
_CONDITIONS: Final = {"53100": FULL, "25006": READ_ONLY, "53300": "its database has no connection free"}
_REMEDIES["42703"] = _REMEDIES["42P01"]


def translate(error: Any, database: str, text: str) -> MeristemError:
    """The error of ours that stands for one of asyncpg's, raised by the statement `text`; to be raised without it."""
    place = f"database {database!r}, statement: {shorten(text)}"
    if is_outdated(error) or not isinstance(error, asyncpg.PostgresError):
        return _of_client(error, place)
    state = error.sqlstate or ""
    reason = _reason(error, state)
    if state in _VIOLATIONS or state.startswith("23"):
        return _violation(error, state, f"{reason} ({place})")
    reason += _REMEDIES.get(state, "")
    if state == _LOCKED:
        locked = TableInUse(f"{reason} ({place})")
        locked.condition = LOCKED
        return locked
    if state.startswith(_PASSING):
        anew = ": nothing of it happened, the next statement connects anew" if is_lost(error) else ""
        passing = StorageUnavailable(f"{reason}{anew} ({place})")
        passing.condition = _CONDITIONS.get(state, "")
        return passing
    if state.startswith(("22", "42", "0A")) and state not in _LASTING:
        return MisuseError(f"the statement can't be run: {reason} ({place})")
    found = StorageError(f"{reason} ({place})")
    found.lasting = state in _LASTING
    return found


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no use after what the server has sent: it ends sessions, or is a standby by now."""
    return getattr(error, "sqlstate", None) in _GONE


def state_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error: the one that the server gave as it closed the connection, rather than asyncpg's own."""
    last = error.__cause__ if isinstance(error, asyncpg.PostgresConnectionError) else None
    said = last if isinstance(last, asyncpg.PostgresError) else error
    return getattr(said, "sqlstate", None)


def is_repeatable(error: BaseException) -> bool:
    """Whether a transaction that told nobody anything yet can be run once more."""
    if is_outdated(error):
        return True
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate in _REPEATABLE or is_lost(error))


def is_outdated(error: BaseException) -> bool:
    """Whether what the connection knows of a statement is of tables that were changed since it was prepared."""
    return isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError))


def unreadable(database: str, text: str) -> MeristemError:
    """The error that stands for a value that the server keeps and Python can't hold; to be raised without its cause."""
    return StorageError(
        "a value that was read is out of Python's range (a date before the year 1 or after 9999, a time of 24:00): "
        f"change the row, or read it as text (database {database!r}, statement: {shorten(text)})"
    )


def writes(database: str, text: str) -> MeristemError:
    """The error of a statement that was to read and would write, or lock rows."""
    return StorageError(
        "this statement writes or locks rows: run it inside `async with database.begin() as tx` "
        f"(database {database!r}, statement: {shorten(text)})"
    )


def _reason(error: asyncpg.PostgresError, state: str) -> str:
    if state.startswith(_TOLD):
        return " ".join(str(error.args[0]).split()) if error.args else type(error).__name__
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
    return f"{words} (SQLSTATE {state})"


def _violation(error: asyncpg.PostgresError, state: str, message: str) -> IntegrityViolation:
    constraint = getattr(error, "constraint_name", None)
    column = getattr(error, "column_name", None)
    if constraint is None and column is not None:
        constraint = f"{getattr(error, 'table_name', '')}.{column}"
    return IntegrityViolation(message, kind=_VIOLATIONS.get(state, "unknown"), constraint=constraint)


def _of_client(error: Any, place: str) -> MeristemError:
    if is_outdated(error):
        return StorageUnavailable(f"a table was changed while it was in use: repeat the unit of work ({place})")
    if isinstance(error, asyncpg.DataError):
        position = re.search(r"argument \$(\d+)", str(error))
        which = f"the value of ${position[1]}" if position else "a value"
        return MisuseError(f"{which} doesn't fit the type of its column or expression ({place})")
    if isinstance(error, asyncpg.InterfaceError) and "cannot exceed" in str(error):
        return MisuseError(
            "a statement has 32,767 values at most: give fewer at a time, or a list to `execute`, which runs it for "
            f"each ({place})"
        )
    if isinstance(error, asyncpg.InterfaceError) and "closed" not in str(error) and "connection" not in str(error):
        return MisuseError(f"the statement can't be run: its parameters don't fit it ({place})")
    lost = StorageUnavailable(f"the connection to the server was lost; the next statement connects anew ({place})")
    lost.condition = AWAY
    return lost
