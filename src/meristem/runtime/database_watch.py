"""Looks whether the databases of a process are where they were opened: one that is gone makes it unready."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from meristem.lifecycle import Background

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.storage.database import Database

logger = logging.getLogger(__name__)
LOOK: Final = 1.0  # seconds, of the machine, between two looks


class DatabaseWatch:
    """Between `start` and `stop`, keeps in `problem` what is wrong with one of the databases, None when nothing is."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self.problem: str | None = None
        self._databases = databases
        self._background = Background("database watch")

    async def start(self) -> None:
        if self._databases:
            self._background.spawn(self._watch(), "look")

    async def drain(self) -> None:
        """It looks to the end."""

    async def stop(self) -> None:
        await self._background.stop()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            problem = next((found for each in self._databases.values() if (found := each.missing())), None)
            if problem is not None and self.problem is None:
                logger.error("not ready any more: %s", problem)
            elif problem is None and self.problem is not None:
                logger.warning("ready again: nothing is missing of the databases any more")
            self.problem = problem
