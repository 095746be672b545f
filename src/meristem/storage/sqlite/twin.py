"""The twin of a SQLite file: a database in memory with its tables, indexes, triggers and views, without its rows."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from sqlalchemy import Connection

from meristem.errors import ConfigurationError, StorageError
from meristem.storage.alembic_folder import COPY_PREFIX
from meristem.storage.sqlite.integrity import restore
from meristem.storage.sqlite.migration import hopeless, migrating
from meristem.storage.survival import Effect, Survival
from meristem.storage.written_rows import changed_table

MANY: Final = 1_000_000  # rows, which take a second or more to copy
_HURTS: Final = "nobody else writes meanwhile: what waits for more than ten seconds is answered as unavailable"
# Virtual tables first: they make their own tables, which are listed as well.
_MADE_BY: Final = (
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER "
    "BY sql LIKE 'CREATE VIRTUAL %' DESC, type = 'table' DESC, type = 'index' DESC, type = 'view' DESC"
)
_KEPT: Final = ("alembic_version", "meristem_revision")
"""The tables whose rows say what the database has been brought to."""
_SECONDS: Final = 10.0


class SqliteTwin:
    """A twin in memory, which knows the file that it is of."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self.connection = connection
        self._path = path

    def tolls(self, statements: Sequence[str]) -> Sequence[Effect]:
        """The copying of a table, or a change of its rows, for which the write lock is held."""
        begun = statements[0].split(COPY_PREFIX, 1)
        if len(begun) == 1:
            return self._of_rows(changed_table(statements[0]))
        table = begun[1].split(maxsplit=1)[0].rstrip('"(')
        rows, size = _extent(self._path, table)
        what = f"copies {table} as a whole: {rows:,} rows, in a file of {size / 1e6:,.1f} MB"
        instead = "apply it when little is written, or add what is new beside what is there"
        return [Effect(Survival.LOOK, what, _HURTS, instead) if rows >= MANY else Effect(Survival.SAFE, what, _HURTS)]

    def _of_rows(self, table: str | None) -> Sequence[Effect]:
        if table is None or (rows := _extent(self._path, table)[0]) < MANY:
            return ()
        instead = "let the release change them in pieces, a transaction for each"
        return [Effect(Survival.LOOK, f"changes up to {rows:,} rows of {table}", _HURTS, instead)]


@contextmanager
def twin(path: Path) -> Iterator[SqliteTwin]:
    """A twin of the file, as it is committed; an empty one where there is no file yet."""
    engine = migrating(lambda: _made_like(path))
    try:
        with engine.begin() as connection:
            raw = cast("sqlite3.Connection", connection.connection.driver_connection)
            try:
                yield SqliteTwin(connection, path)
            finally:
                raw.set_authorizer(None)
            if told := restore(connection):
                raise ConfigurationError(f"{hopeless(path)}: {told}")
    finally:
        engine.dispose()


def _made_like(path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    if not path.exists():
        return made
    with _reading(path) as original:
        for _, name, text in original.execute(_MADE_BY):
            if made.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is None:
                made.execute(text)
        for table in _KEPT:
            if made.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None:
                rows = original.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - one of the names above
                for row in rows:
                    made.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - as above
    return made


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        uri = f"file:{quote(str(path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_SECONDS, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StorageError(f"{path} can't be looked at for a plan: {error}") from error


def _extent(path: Path, table: str) -> tuple[int, int]:
    """How many rows a table of the file has, and how many bytes the file."""
    if not path.exists():
        return 0, 0
    with _reading(path) as original:
        known = original.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
        quoted = table.replace('"', '""')
        rows = original.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0] if known else 0  # noqa: S608 - quoted
    return int(rows), path.stat().st_size
