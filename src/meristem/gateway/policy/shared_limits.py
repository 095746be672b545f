"""Limits that all replicas count together in a store, and what happens while that is away."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from meristem.backoff import HALF, wait_after
from meristem.lifecycle import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.gateway.policy.rate_limit import RateLimit

logger = logging.getLogger(__name__)
PATIENCE: Final = 0.25  # seconds in which a store answers, or is away
REST: Final = 0.5  # seconds for which one that is away is not asked, twice as long after each try
LONGEST_REST: Final = 5.0


class StoreAwayError(Exception):
    """A store does not answer."""


class SharedCount(Protocol):
    """A store that counts for all who ask it, by its own clock. Raises StoreAwayError where it can't be asked."""

    async def take(self, limits: Sequence[RateLimit], keys: Sequence[str]) -> Sequence[float]:
        """By how many seconds each key was ahead of its rate; all of them are charged, or none where one refuses.

        One that runs dry refuses nothing, and is charged where it alone would have been.
        """
        ...

    async def give_back(self, limit: RateLimit, key: str) -> None:
        """Undo what one request was charged."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class SharedLimits:
    """Asks a store, and leaves it alone for a while when it was silent; `failures` are how often it was.

    Meanwhile, and in the time that a store takes to be found away, each replica counts for itself.
    """

    def __init__(self, name: str, store: SharedCount, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.failures = 0
        self.uncounted = 0  # requests that it was not asked about, or did not answer for
        self._store = store
        self._now = now
        self._tries = 0
        self._rests_until = self._failed_at = 0.0
        self._background = Background("limit store")

    @property
    def is_away(self) -> bool:
        """Whether replicas count for themselves."""
        return self._tries > 0

    async def take(self, asked: Sequence[tuple[RateLimit, str]]) -> Sequence[float] | None:
        """By how many seconds each was ahead of its rate; None where the store is away."""
        if self._tries and self._now() < self._rests_until:
            self.uncounted += 1
            return None
        began = self._now()
        if self._tries:  # it alone tries whether the store is back; others count here meanwhile
            self._rests_until = began + PATIENCE * 2
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._store.take([limit for limit, _ in asked], [key for _, key in asked])
        except (StoreAwayError, TimeoutError) as error:
            self._failed(str(error) or f"no answer within {PATIENCE} s", began)
            return None
        if self._tries:
            logger.warning("%s is back: replicas count together again", self.name)
            self._tries = 0
        return found

    def give_back(self, limit: RateLimit, key: str) -> None:
        """Undo what one request was charged; nobody waits for that."""
        self._background.spawn(self._return(limit, key), "give back")

    async def stop(self) -> None:
        await self._background.stop()
        await self._store.close()

    async def _return(self, limit: RateLimit, key: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store.give_back(limit, key)
        except (StoreAwayError, TimeoutError):
            self.failures += 1

    def _failed(self, why: str, began: float) -> None:
        self.failures += 1
        self.uncounted += 1
        if began < self._failed_at:  # it was asked before that was known
            return
        self._failed_at = self._now()
        self._tries += 1
        self._rests_until = self._failed_at + wait_after(self._tries, REST, LONGEST_REST, HALF)
        if self._tries == 1:
            logger.warning("%s is away, so each replica counts its limits for itself: %s", self.name, why)
