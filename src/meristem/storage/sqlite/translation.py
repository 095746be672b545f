"""What SQLite's errors mean to the person who reads them; the value of a parameter is never part of a message."""

from __future__ import annotations

import sqlite3

from meristem.descriptors import shortage
from meristem.errors import IntegrityViolation, MeristemError, MisuseError, StorageError, StorageUnavailable
from meristem.storage.driver import BROKEN, FULL, LOCKED, shorten
from meristem.storage.sqlite.locked import is_locked

_LASTING = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_ERROR")
_REMEDIES = {
    ("SQLITE_BUSY", "SQLITE_LOCKED"):
        ": another process holds the write lock; shorten its transactions, or move to a database server",
    ("SQLITE_READONLY",): ": this statement writes; run it inside `async with database.begin() as tx`",
    ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        ": the file is damaged; restore it from a backup, or move it away to begin with an empty one",
    ("SQLITE_FULL",): ": make room; what was written before is there, and writes go on as soon as there is room",
    ("SQLITE_IOERR",): ": the file system fails, or takes no writes any more; the system's log (dmesg) says more",
    ("SQLITE_CANTOPEN",): ": check that the folder exists and may be written",
}  # fmt: skip
_CONDITIONS = {"SQLITE_FULL": FULL, "SQLITE_IOERR": BROKEN, "SQLITE_BUSY": LOCKED}
OPENING = "opening "  # begins what stands for a statement where the file is opened
_KINDS = ("UNIQUE", "FOREIGN KEY", "NOT NULL", "CHECK")


def translate(error: sqlite3.Error, database: str, text: str) -> MeristemError:
    """The error of ours that stands for one of sqlite3's, raised by the statement `text`."""
    reason = str(error)
    place = f"database {database!r}, statement: {shorten(text)}"
    if isinstance(error, sqlite3.IntegrityError):
        return _violation(reason, place)
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
        return MisuseError(f"the statement can't be run: {reason} ({place})")
    name = getattr(error, "sqlite_errorname", "")
    # Of an I/O error it is not certain that nothing happened: the log may have all of it, and its index not.
    kind = StorageUnavailable if is_locked(error) or name == "SQLITE_FULL" else StorageError
    found = kind(f"{reason}{_remedy(reason, error, text)} ({place})")
    found.lasting = name.startswith(_LASTING) and not shortage()
    found.condition = next((each for prefix, each in _CONDITIONS.items() if name.startswith(prefix)), "")
    return found


def unfit(error: OverflowError | UnicodeEncodeError, database: str, text: str) -> MisuseError:
    """The error for a value that sqlite3 can't hand to SQLite; it names no position, and must not tell the value."""
    large = isinstance(error, OverflowError)
    reason = "an int takes up to 64 bits" if large else "text with a surrogate in it is no UTF-8"
    return MisuseError(f"a value can't be stored: {reason} (database {database!r}, statement: {shorten(text)})")


def _violation(reason: str, place: str) -> IntegrityViolation:
    kind = next((kind for kind in _KINDS if reason.startswith(kind)), None)
    _, _, constraint = reason.partition(" constraint failed: ")
    return IntegrityViolation(f"{reason} ({place})", kind=(kind or "unknown").lower(), constraint=constraint or None)


def _remedy(reason: str, error: sqlite3.Error, text: str) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if "no such table" in reason or "no such column" in reason or "has no column named" in reason:
        return (
            ": the database has another schema than this code; run its migrations (`meristem migrate`), or the newer "
            "release that has migrated it already"
        )
    if name.startswith("SQLITE_CANTOPEN") and (all_in_use := shortage()):
        return all_in_use
    if name.startswith("SQLITE_READONLY") and text.startswith(OPENING):
        return ": let this user write the file and its folder"
    return next((remedy for prefixes, remedy in _REMEDIES.items() if name.startswith(prefixes)), "")
