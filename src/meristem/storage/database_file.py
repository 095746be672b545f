"""The port to a database that is one file: how it is copied while it is written to, and how a copy takes its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

Told = Callable[[int, int], None]
"""Hears how many pages of how many are copied."""


class FileContents(msgspec.Struct, frozen=True):
    """What a copy holds: how many rows in which table, and the revisions that its tables were brought to."""

    rows: dict[str, int]
    revisions: list[str]


class Cut(Protocol):
    """The state of one database at one moment, to be copied later: `hold`, `fix`, `release`, `copy`, `close`."""

    def hold(self, patience: float) -> bool:
        """Keep all writers out, of every process; False where one of them was still at it after so many seconds."""
        ...

    def fix(self) -> None:
        """What `copy` writes is the state of this moment."""
        ...

    def release(self) -> None:
        """Let writers on; what they do from now on is not in the copy."""
        ...

    def copy(self, file: Path, tell: Told) -> None:
        """Write the state that was fixed to a new file, for this user alone."""
        ...

    def close(self) -> None:
        """Let go of all; closing again is fine."""
        ...


class DatabaseFile(Protocol):
    """The file of one database, which any process may have open."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def cut(self) -> Cut:
        """A cut that is not held yet; raises StorageError for a file that can't be opened."""
        ...

    def contents(self, file: Path) -> FileContents:
        """What a copy holds; raises StorageError for one that is damaged. The copy stays as it is."""
        ...

    def is_open(self) -> bool:
        """Whether any process has the database open."""
        ...

    def set_aside(self, ending: str) -> Path:
        """Rename it and what belongs to it by a further ending; answers with its new name."""
        ...
