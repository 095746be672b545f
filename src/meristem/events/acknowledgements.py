"""Acknowledgements: they gather for a moment, so that one transaction removes many rows from the outbox."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import StorageError
from meristem.failure_log import log_failure

if TYPE_CHECKING:
    from meristem.clock import Clock
    from meristem.events.delivery import Delivery
    from meristem.events.outbox import Outbox
    from meristem.events.partitions import Partitions

logger: Final = logging.getLogger("meristem.events")

_BATCH: Final = 100  # rows of one transaction: writers wait for it
_GATHER: Final = 0.5  # seconds for which acknowledgements gather before they are written in one transaction
_MISHAP: Final = 1.0  # seconds to wait when the outbox's database fails


class Acknowledgements:
    """What was acknowledged and is still in the outbox of one relay.

    `forget` is called for each delivery as its row is removed or let go of, `changed` when none waits any more.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        forget: Callable[[Partitions, Delivery], None],
        changed: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._spawn = spawn
        self._forget = forget
        self._changed = changed
        self._gathered: list[tuple[Partitions, Delivery]] = []
        self._removing = False
        self._enough = asyncio.Event()  # many have gathered, or a drain waits for them

    @property
    def is_empty(self) -> bool:
        """Whether no row waits to be removed."""
        return not self._removing

    def add(self, partitions: Partitions, delivery: Delivery) -> None:
        """Have the row of a delivery removed, together with those that follow at once."""
        self._gathered.append((partitions, delivery))
        if len(self._gathered) >= _BATCH:
            self._enough.set()
        if not self._removing:
            self._removing = True
            self._spawn(self._remove())

    def hurry(self) -> None:
        """Remove what has gathered without waiting for more."""
        self._enough.set()

    def clear(self) -> None:
        """Let go of what has gathered: the rows stay in the outbox, for the relay that takes them up next."""
        for partitions, delivery in self._gathered:
            self._forget(partitions, delivery)
        self._gathered.clear()
        self._removing = False
        self._changed()

    async def _remove(self) -> None:
        try:
            while self._gathered:
                await self._gather()
                batch = self._gathered[:_BATCH]
                try:
                    await self._outbox.remove([delivery for _, delivery in batch])
                except StorageError as error:
                    log_failure(
                        logger, error, "%s: acknowledged events stay in its outbox; trying again", self._outbox.source
                    )
                    await self._clock.sleep(_MISHAP)
                    continue
                del self._gathered[: len(batch)]  # more may have come meanwhile
                for partitions, delivery in batch:
                    self._forget(partitions, delivery)
        finally:  # however it ends: no drain waits for ever for a removal that no further attempt would mend
            self.clear()

    async def _gather(self) -> None:
        if len(self._gathered) < _BATCH:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER):
                    await self._enough.wait()
        self._enough.clear()
