"""How long to leave a database alone that another process has locked: nothing tells when it is done."""

from __future__ import annotations

import random
import sqlite3
from time import monotonic
from typing import Final

SOON: Final = 0.05  # seconds in which a busy neighbour is asked often: pauses that grow at once starve who waits
LATE: Final = 1.0  # seconds after which it is asked often again: who comes new would win over who has waited for long
SHORT: Final = (0.0003, 0.002)  # seconds, between which chance decides
LONG: Final = (0.005, 0.02)


class Patience:
    """One wait for a lock: `pause` says how long until the next try, and None once `seconds` are over."""

    __slots__ = ("_began", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._began = monotonic()
        self._seconds = seconds

    def pause(self) -> float | None:
        """Seconds until the next try."""
        waited = monotonic() - self._began
        if waited >= self._seconds:
            return None
        return random.uniform(*(LONG if SOON <= waited < LATE else SHORT))  # noqa: S311 - no secret


def is_locked(error: BaseException | None) -> bool:
    """Whether SQLite refused a statement for a lock that somebody else holds."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
