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

from meristem.errors import MeristemError, StorageError

_BUSY_SECONDS: Final = 60.0  # another replica may be migrating: wait for it


@contextmanager
def migration(path: Path) -> Iterator[Connection]:
    """A connection inside one transaction that takes the write lock at once: replicas migrate one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            yield connection
    except MeristemError:
        raise
    except SQLAlchemyError as error:
        raise StorageError(f"a migration of {path} failed and was rolled back: {error}") from error
    finally:
        engine.dispose()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
