"""The first appearance of a socket that nobody has listened on yet, as while a system starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

LOOK: Final = 0.05  # seconds between two looks


class Birth:
    """Tells whoever waits that the socket at `path` is there; one looks for all, as long as somebody waits.

    Patience is counted from the first time that somebody missed it: what is away for longer is not about to come.
    """

    __slots__ = ("_looking", "_missed", "_path", "_waiting")

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._missed: float | None = None
        self._waiting = 0
        self._looking: asyncio.Task[None] | None = None

    async def within(self, seconds: float) -> bool:
        """Whether it is there before so many seconds have passed since it was missed first."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._missed is None:
            self._missed = now
        left = self._missed + seconds - now
        if left <= 0 or self._path.exists():
            return self._path.exists()
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look(), name=f"look for {self._path}")
        self._waiting += 1
        try:
            await asyncio.wait({self._looking}, timeout=left)
        finally:
            self._waiting -= 1
        return self._looking.done()

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while not self._path.exists():
            await asyncio.sleep(LOOK)
            if not self._waiting:
                return
