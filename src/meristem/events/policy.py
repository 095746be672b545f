"""How often and how long a subscriber's delivery is tried."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from meristem.backoff import FULL, wait_after
from meristem.contracts.bounds import Attempts, Pause, Seconds, require
from meristem.errors import MisuseError

_LONGEST: Final = 7 * 86400.0  # far below the inbox's retention, so that a late retry is still known as a duplicate


Begin: TypeAlias = Literal["now", "first"]
"""Where a new subscriber begins: with what is published from now on, or with the first event that is kept."""


class DeliveryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery is tried `attempts` times, each for `timeout` seconds at most, then becomes a dead letter.

    Between attempts it waits a random time below `base * 2**n` seconds, `cap` at most (full jitter). The default
    ends after one to two minutes. A subscriber that cannot be reached uses up no attempts: its events wait. `begin`
    says where a subscriber begins to which the type is new.
    """

    attempts: Attempts = 10
    timeout: Seconds = 30.0
    base: Pause = 0.25
    cap: Pause = 60.0
    begin: Begin = "now"

    rising: ClassVar = ("base", "cap")

    def __post_init__(self) -> None:
        require(self)
        if self.attempts * self.cap > _LONGEST:
            raise MisuseError(
                f"DeliveryPolicy: attempts = {self.attempts!r}, cap = {self.cap!r}: "
                "attempts * cap must stay below 7 days; a dead letter can be redriven later"
            )

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures, with jitter."""
        return wait_after(failures + 1, self.base, self.cap, FULL)


DEFAULT: Final = DeliveryPolicy()
