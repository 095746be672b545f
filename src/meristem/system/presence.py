"""Who of a run is still there: a file that all of its processes hold locked, so that the next run sees the last end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # on Windows, where a run does not wait for another
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path


class Presence:
    """One lock for a run: its first process takes it, the others inherit `descriptor` and hold it until they end.

    The kernel frees it with the last of them, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int | None:
        """What a process of this run inherits; None before `take`."""
        return self._descriptor

    def take(self) -> bool:
        """Take the lock for a new run; False while a process of an earlier one lives."""
        if fcntl is None or self._descriptor is not None:
            return True
        # flock(2) locks the open file, which children inherit; a lock by fcntl(2) would be this process's alone.
        descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def leave(self) -> None:
        """Hold it no more in this process."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
