"""Which traces are recorded: all at human speed, a bounded number per second under load."""

from __future__ import annotations

import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from meristem.context import Trace

if TYPE_CHECKING:
    from collections.abc import Callable


ROUNDING: Final = 1e-6  # seconds


class Allowance:
    """A token bucket: `per_second` on average, as many at once after a quiet second."""

    __slots__ = ("_full", "_gap", "_now", "_spent")

    def __init__(self, per_second: float, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._gap = 1 / per_second if per_second > 0 else float("inf")
        self._full = max(1.0, self._gap) + ROUNDING if per_second > 0 else 0.0  # how far `_spent` may run ahead
        self._spent = now() if per_second > 0 else float("inf")  # all before this time is used up

    def take(self) -> bool:
        """Whether one more is allowed now."""
        now = self._now()
        spent = self._spent + self._gap
        if spent > now + self._full:
            return False
        self._spent = max(spent, now + self._gap)
        return True


BLOCK: Final = 256  # ids made at once: the cost is in the call, not in the bytes
ROOT: Final = 48  # hexadecimal digits of a trace id and a span id


class Ids:
    """Random trace and span ids, as W3C Trace Context asks for; not for secrets."""

    __slots__ = ("_at", "_block", "_bytes")

    def __init__(self, rng: random.Random | None = None) -> None:
        # a generator of its own: seeding `random` must not repeat ids
        self._bytes = (rng or random.Random()).randbytes  # noqa: S311
        self._block = ""
        self._at = 0

    def root(self, *, sampled: bool) -> Trace:
        """The first span of a new trace."""
        at = self._at  # as `_take` does, without the cost of a call: every call without a trace comes by here
        if at + ROOT > len(self._block):
            at = self._take(ROOT)
        self._at = at + ROOT
        block = self._block
        return Trace(block[at : at + 32], block[at + 32 : at + ROOT], sampled)

    def child(self, parent: Trace) -> Trace:
        """A new span below `parent`."""
        at = self._take(16)
        return Trace(parent.trace_id, self._block[at : at + 16], parent.sampled, parent.state)

    def _take(self, digits: int) -> int:
        at = self._at
        if at + digits > len(self._block):
            self._block = self._bytes(ROOT // 2 * BLOCK).hex()
            at = 0
        self._at = at + digits
        return at
