"""Copies a SQLite file while others write to it, and tells whether a copy is whole.

The copy is of a read transaction that began while the write lock was held: in a write-ahead log, readers go on to see
what they began with. SQLite's online backup takes its pages from that transaction.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from meristem.errors import StorageError
from meristem.private_files import make_file
from meristem.storage.database_file import FileContents, Told
from meristem.storage.sqlite.locked import Patience, is_locked
from meristem.storage.sqlite.translation import OPENING, translate
from meristem.storage.versions import REVISIONS

_PAGES: Final = 2000  # copied between two reports: 8 MB
_COPYING: Final = "copying the file"
_TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
_BESIDE: Final = ("", "-wal", "-shm")


class SqliteFile:
    """The file of one service's database."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._name = name

    def cut(self) -> SqliteCut:
        """A cut of it, not held yet."""
        return SqliteCut(self.path, self._name)

    def contents(self, file: Path) -> FileContents:
        """What a copy holds, which is not written to and gets no files beside it."""
        with _explained(self._name, f"{OPENING}{file}"), closing(_connect(file, "mode=ro&immutable=1")) as copy:
            problems = [text for (text,) in copy.execute("PRAGMA integrity_check(3)")]
            if problems != ["ok"]:
                damaged = StorageError(f"{file} is damaged: {'; '.join(problems)}; use another backup")
                damaged.lasting = True
                raise damaged
            tables = sorted(name for (name,) in copy.execute(_TABLES))
            rows = {each: copy.execute(f"SELECT count(*) FROM {_quoted(each)}").fetchone()[0] for each in tables}  # noqa: S608
            known = f"SELECT room || ' ' || name FROM {REVISIONS.name} ORDER BY room, name"  # noqa: S608
            revisions = [each for (each,) in copy.execute(known)] if REVISIONS.name in tables else []
        return FileContents(rows, revisions)

    def is_open(self) -> bool:
        """Whether another connection is open: all that use a write-ahead log hold a lock as long as they live."""
        with closing(_connect(self.path, "mode=rw")) as alone:
            try:
                alone.execute("PRAGMA locking_mode=EXCLUSIVE")
                alone.execute("BEGIN IMMEDIATE")
                alone.execute("ROLLBACK")
            except sqlite3.Error as error:
                return is_locked(error)  # what is damaged is to be replaced, and that is no reason against it
        return False

    def set_aside(self, ending: str) -> Path:
        """Rename the file, and the log that a killed process left beside it."""
        aside = self.path.with_name(f"{self.path.name}{ending}")
        for each in _BESIDE:
            beside = self.path.with_name(f"{self.path.name}{each}")
            if beside.exists():
                beside.rename(aside.with_name(f"{aside.name}{each}"))
        return aside


class SqliteCut:
    """A SQLite file at one moment: a connection that keeps writers out, and one whose read transaction is kept."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        with _explained(name, f"{OPENING}{path}"):
            self._lock = _connect(path, "mode=rw")
            self._state = _connect(path, "mode=rw")
            self._lock.execute("PRAGMA journal_mode=WAL")
            self._state.execute("SELECT count(*) FROM sqlite_master")  # what opening takes is not done while it is held

    def hold(self, patience: float) -> bool:
        """Take the write lock, which no thread of this process may hold either."""
        waited = Patience(max(patience, 0.0))
        with _explained(self._name, "BEGIN IMMEDIATE"):
            while True:
                try:
                    self._lock.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    pause = waited.pause()
                    if not is_locked(error):
                        raise
                    if pause is None:
                        return False
                    time.sleep(pause)
                else:
                    return True

    def fix(self) -> None:
        """Begin the read transaction: it has begun when it has read."""
        with _explained(self._name, "BEGIN"):
            self._state.execute("BEGIN")
            self._state.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def release(self) -> None:
        """Give the write lock back; nothing was written."""
        if self._lock.in_transaction:
            self._lock.execute("ROLLBACK")

    def copy(self, file: Path, tell: Told) -> None:
        """Copy page by page what the read transaction sees; OSError where there is no room for the copy."""
        make_file(file)
        with _explained(self._name, _COPYING), closing(_connect(file, "mode=rw")) as copy:
            try:
                self._state.backup(copy, pages=_PAGES, progress=lambda _, left, total: tell(total - left, total))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                # Of the copy's disk: who reads needs no room.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from None
        tell(1, 1)

    def close(self) -> None:
        """Close both connections."""
        self._state.close()
        self._lock.close()


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{options}", timeout=0, isolation_level=None, check_same_thread=False, uri=True
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _explained(name: str, text: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, name, text) from error
