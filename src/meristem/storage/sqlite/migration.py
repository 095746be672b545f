"""A connection to change the schema of a SQLite file with: SQLAlchemy's own, as Alembic needs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from meristem.errors import ConfigurationError, MeristemError, StorageError
from meristem.private_files import make_file, make_folder
from meristem.storage.driver import shorten

_PASSING: Final = tuple(
    f"SQLITE_{each}" for each in ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "READONLY", "NOMEM", "INTERRUPT")
)
"""The names of SQLite's result codes that are about the file or the moment, not about the statement."""
_BUSY_SECONDS: Final = 60.0  # another replica may be migrating: wait for it


@contextmanager
def migration(path: Path) -> Iterator[Connection]:
    """A connection inside one transaction that takes the write lock at once: replicas migrate one after the other."""
    try:
        make_folder(path.parent)
        make_file(path)  # for its user alone
    except OSError as error:
        raise StorageError(f"{path} can't be made: {error.strerror}; choose a folder that may be written") from None
    # Rows that a revision writes may be personal: its errors, which are logged with their causes, tell none of them.
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            yield connection
    except MeristemError:
        raise
    except SQLAlchemyError as error:
        raise _explained(error, path) from error
    finally:
        engine.dispose()


def _explained(error: SQLAlchemyError, path: Path) -> MeristemError:
    """The failure in one line: one of the revision's own, which no repetition helps, or of the file, disk or lock."""
    cause = getattr(error, "orig", None) or error
    statement = shorten(getattr(error, "statement", None) or "")
    places = [*getattr(error, "__notes__", ()), *([f"statement: {statement}"] if statement else [])]
    where = f" ({', '.join(places)})" if places else ""
    told = f"{type(cause).__name__}: {' '.join(str(cause).split())}{where}"
    if getattr(cause, "sqlite_errorname", "").startswith(_PASSING):
        return StorageError(f"a migration of {path} failed and was rolled back: {told}")
    return ConfigurationError(f"a migration of {path} cannot succeed and was rolled back: {told}; mend the revision")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
