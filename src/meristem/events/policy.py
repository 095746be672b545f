"""How often and how long a subscriber's delivery is tried."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from meristem.errors import MisuseError

_LONGEST: Final = 7 * 86400.0  # far below the inbox's retention, so that a late retry is still known as a duplicate


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery is tried `attempts` times, each for `timeout` seconds at most, then becomes a dead letter.

    Between attempts it waits a random time below `base * 2**n` seconds, `cap` at most (full jitter). The default
    ends after one to two minutes. A subscriber that cannot be reached uses up no attempts: its events wait.
    """

    attempts: int = 10
    timeout: float = 30.0
    base: float = 0.25
    cap: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.timeout <= 0 or self.base < 0 or self.cap < self.base:
            raise MisuseError(f"{self}: attempts must be at least 1, timeout above 0, and 0 <= base <= cap")
        if self.attempts * self.cap > _LONGEST:
            raise MisuseError(f"{self}: attempts * cap must stay below 7 days; a dead letter can be redriven later")

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures, with jitter."""
        return random.uniform(0, min(self.cap, self.base * 2 ** min(failures, 30)))  # noqa: S311 - jitter, no secret


DEFAULT: Final = Policy()
