"""Waits between attempts: each up to twice as long as the one before, up to a cap, spread at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FULL: Final = 1.0  # of many callers that failed together, as few as possible come back together
HALF: Final = 0.5  # for a lone worker: whatever chance says, what failed has half of the time to recover
_DOUBLINGS: Final = 64  # any cap is reached by then, and a power of two fits a float


def ceiling(attempt: int, base: float, cap: float) -> float:
    """The longest wait after the attempt of this number, counted from 1: `base * 2**(attempt - 1)`, `cap` at most."""
    return min(cap, base * 2.0 ** min(attempt - 1, _DOUBLINGS))


def wait_after(
    attempt: int, base: float, cap: float, jitter: float, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Seconds to wait after the attempt of this number: the ceiling, shortened by up to `jitter` of it at random.

    The cap holds for the ceiling, so no wait is longer than it. `FULL` is "full jitter": any time from none to the
    ceiling; `HALF` keeps the upper half ("equal jitter"). Source: "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015.
    """
    longest = ceiling(attempt, base, cap)
    return uniform(longest * (1.0 - jitter), longest)
