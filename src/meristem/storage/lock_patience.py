"""Changes of tables that others use: whoever waits for a lock does so for a moment only, and then comes again.

All who come while a change waits for its lock wait behind it, readers as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from meristem.errors import StorageUnavailable

logger: Final = logging.getLogger("meristem.storage")
pause: Final = asyncio.sleep
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds, between attempts to change tables that are in use

T = TypeVar("T")


class TableInUse(StorageUnavailable):
    """A lock was not had within the patience of the database: nothing was changed."""


async def until_free(name: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """What an attempt to change tables answers, made again after pauses while it raises TableInUse; the last one may.

    An attempt is one transaction, or ends all that it began. `name` is the database's.
    """
    for seconds in _PAUSES:
        try:
            return await attempt()
        except TableInUse:
            logger.warning("the tables of database %r are in use; what changes them is tried again", name)
            await pause(seconds)
    return await attempt()
