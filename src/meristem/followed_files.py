"""Files that are read again when they have changed: they are looked at now and then, for no message tells of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Stamp: TypeAlias = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp:
    """What changes with a file: its time, size and number, those of what a link leads to. Raises OSError."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


class FollowedFiles:
    """Some files, looked at no sooner than `between` seconds after the last time."""

    def __init__(self, *paths: Path, between: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._paths = paths
        self._between = between
        self._now = now
        self._looked = float("-inf")
        self._seen: list[Stamp | None] | None = None

    def settle(self) -> None:
        """As they are at this moment they are known."""
        self._seen = self._stamps()

    def have_changed(self) -> bool:
        """Whether they are others than when that was last asked; told once."""
        moment = self._now()
        if moment - self._looked < self._between:
            return False
        before, self._looked, self._seen = self._seen, moment, self._stamps()
        return self._seen != before

    def _stamps(self) -> list[Stamp | None]:
        return [_stamp_or_none(each) for each in self._paths]


def _stamp_or_none(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None
