"""Whether the files of an open database are still those that its path names: SQLite writes on into deleted ones."""

from __future__ import annotations

import os
from pathlib import Path

from meristem.errors import StorageError


class OpenFiles:
    """The files as they were when the database was opened; what is committed into others is lost with the process."""

    def __init__(self, database: str, *paths: Path) -> None:
        self._database = database
        self._known = {path: _identity(path) for path in paths}
        self.missing: str | None = None

    def look(self) -> str | None:
        """What is missing now, and what to do; None when all is there."""
        gone = next((path for path, known in self._known.items() if _identity(path) != known), None)
        self.missing = None if gone is None else (
            f"the file {gone} of database {self._database!r} is gone or another one since it was opened: nothing is "
            "written any more; put it back as it was, or restore it from a backup and start the process again"
        )  # fmt: skip
        return self.missing

    def refuse(self) -> StorageError:
        """The error of a write that would be lost."""
        refused = StorageError(self.missing or "")
        refused.lasting = True
        return refused


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - no object for what is asked each second
    except OSError:
        return None
    return found.st_dev, found.st_ino
