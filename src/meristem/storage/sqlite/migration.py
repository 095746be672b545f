"""A connection to change the schema of a SQLite file with: SQLAlchemy's own, as Alembic needs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from meristem.errors import ConfigurationError, MeristemError, StorageError
from meristem.private_files import make_file, make_folder
from meristem.storage.driver import shorten
from meristem.storage.sqlite.integrity import (
    highest_ids,
    keep_what_a_copy_loses,
    lost_references,
    restore,
    restore_highest_ids,
)

_PASSING: Final = tuple(
    f"SQLITE_{each}" for each in ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "READONLY", "NOMEM", "INTERRUPT")
)
"""The names of SQLite's result codes that are about the file or the moment, not about the statement."""
_BUSY_SECONDS: Final = 60.0  # another replica may be migrating: wait for it
_ALLOW, _DENY = sqlite3.SQLITE_OK, sqlite3.SQLITE_DENY
_ONE_TRANSACTION: Final = "a revision runs in one transaction, which it neither begins nor ends: no executescript()"


@contextmanager
def migration(path: Path) -> Iterator[Connection]:
    """A connection inside one transaction that takes the write lock at once: replicas migrate one after the other."""
    try:
        make_folder(path.parent)
        make_file(path)  # for its user alone
    except OSError as error:
        raise StorageError(f"{path} can't be made: {error.strerror}; choose a folder that may be written") from None
    engine = migrating(lambda: _connect(path))
    try:
        with engine.begin() as connection:
            raw = _raw(connection)
            before, changes = highest_ids(raw), raw.total_changes
            try:
                yield connection
            finally:
                raw.set_authorizer(None)
            if raw.total_changes > changes:
                restore_highest_ids(raw, before)
                if told := restore(connection) or lost_references(raw, lambda: _connect(path, timeout=0)):
                    raise ConfigurationError(f"{hopeless(path)}: {told}")
    except MeristemError as error:
        if _ends_transaction(error.__cause__):
            raise ConfigurationError(f"{error}; {_ONE_TRANSACTION}") from error
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise _explained(error, path) from error
    finally:
        engine.dispose()


def migrating(connect: Callable[[], sqlite3.Connection]) -> Engine:
    """An engine for a revision to run on, whose one transaction it can't end."""
    # Rows that a revision writes may be personal: its errors, which are logged with their causes, tell none of them.
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "before_execute", keep_what_a_copy_loses)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    # Python's executescript() commits first, and a COMMIT in a revision would, too: half of it would stay.
    _raw(connection).set_authorizer(lambda action, *_: _DENY if action == sqlite3.SQLITE_TRANSACTION else _ALLOW)


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _ends_transaction(error: Any) -> bool:
    """Whether SQLite refused what `_begin` forbids."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_AUTH"


def _explained(error: SQLAlchemyError | sqlite3.Error, path: Path) -> MeristemError:
    """The failure in one line: one of the revision's own, which no repetition helps, or of the file, disk or lock."""
    cause = getattr(error, "orig", None) or error
    statement = shorten(getattr(error, "statement", None) or "")
    places = [*getattr(error, "__notes__", ()), *([f"statement: {statement}"] if statement else [])]
    where = f" ({', '.join(places)})" if places else ""
    told = f"{type(cause).__name__}: {' '.join(str(cause).split())}{where}"
    if getattr(cause, "sqlite_errorname", "").startswith(_PASSING):
        return StorageError(f"a migration of {path} failed and was rolled back: {told}")
    remedy = _ONE_TRANSACTION if _ends_transaction(cause) else "mend the revision"
    return ConfigurationError(f"{hopeless(path)}: {told}; {remedy}")


def hopeless(path: Path) -> str:
    """How it is told that no repetition helps."""
    return f"a migration of {path} cannot succeed and was rolled back"


def _connect(path: Path, timeout: float = _BUSY_SECONDS) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout, isolation_level=None)
