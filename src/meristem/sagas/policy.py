"""How patient the engine is: leases, retries and when a person must look."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from meristem.backoff import HALF, wait_after
from meristem.contracts.bounds import Attempts, Pause, Seconds, require


class Backoff(msgspec.Struct, frozen=True):
    """Waits of `base * 2**n` seconds, at most `cap`, each shortened by up to half at random."""

    base: Pause
    cap: Pause
    attempts: Attempts = 1_000_000

    rising: ClassVar = ("base", "cap")

    def __post_init__(self) -> None:
        require(self)

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, counted from 1."""
        return wait_after(attempt, self.base, self.cap, HALF)


class SagaPolicy(msgspec.Struct, frozen=True):
    """The engine's times, in seconds.

    What other replicas left or woke is found within `scan` seconds of the machine, whatever the clock says. A saga
    that has nothing to do for longer than `longest_nap` is put to sleep in the journal. `undo` says how often an undo
    is repeated before the saga is parked. A callee that fails by a bug is tried `bug_attempts` times for a step, and
    `undo_bug_attempts` times to take one back. Why a step is tried again is written down where the pause before that
    is longer than `noted`. Finished sagas are forgotten after `retention`.
    """

    scan: Seconds = 1.0
    longest_nap: Pause = 30.0
    grace: Pause = 5.0
    retention: Seconds = 30 * 86400.0
    noted: Pause = 1.0
    bug_attempts: Attempts = 3
    undo_bug_attempts: Attempts = 16
    retry: Backoff = Backoff(base=0.1, cap=5.0)
    undo: Backoff = Backoff(base=0.2, cap=60.0, attempts=16)

    def __post_init__(self) -> None:
        require(self)


IN_DEVELOPMENT: Final = SagaPolicy(bug_attempts=1, undo_bug_attempts=1)
"""Who wrote the bug is there: what an operation is repeated for in production would only keep them waiting."""
