"""How soon what has died is started again."""

from __future__ import annotations

import msgspec

from meristem.backoff import HALF, wait_after
from meristem.lifecycle import ENDING


class Restarts(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th restart in a row waits about `base * 2**n` seconds, `cap` at most; it never gives up.

    What has been ready for `calm` seconds counts as healthy again. What is not ready `patience` seconds after its
    start is ended and started again. What gives no sign of life for `hung` seconds is killed and started again. What is
    asked to end has `grace` seconds. Callers of what is away and has no other replica wait for it for `away` seconds.
    What came back counts as ready again when it has been ready for `probation` seconds: 0 where its word is believed.
    """

    base: float = 0.25
    cap: float = 30.0
    calm: float = 15.0
    patience: float = 60.0
    grace: float = ENDING
    hung: float = 30.0
    away: float = 5.0
    probation: float = 0.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row; jitter keeps replicas from restarting in step."""
        return wait_after(failures, self.base, self.cap, HALF)
