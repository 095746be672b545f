"""Poison: an event that ends the process of its handler each time is found out, and becomes a dead letter.

Nothing is written while all is well. What a process held when it ended is known by its number under the lease; from
then on an attempt at such an event is counted in the outbox before it begins, where its handler runs in the relay's own
process. A relay sees a handler's process end where that is another one, and counts in memory (`redelivery`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meristem.errors import OperationError, StorageError
from meristem.failure_log import log_failure

if TYPE_CHECKING:
    from meristem.events.delivery import Delivery
    from meristem.events.outbox import Outbox
    from meristem.events.partitions import Attempt, Partitions

logger: Final = logging.getLogger("meristem.events")

DEADLY: Final = 5  # ends of a process that had the event, after which the event is why
BESIDE: Final = 2  # of them, at most, with other events of the subscriber under way as well
QUIET: Final = 2.0  # seconds for which the process lives without the event before that is tried alone
_GROWTH: Final = 4.0  # of that time with each end: who ends the process for another reason does so meanwhile
_SOON: Final = 0.05  # seconds until it looks whether another one is done
_MISHAP: Final = 1.0  # seconds to wait when the outbox can't be written


class PoisonedError(OperationError):
    """An event ends the process of its handler each time."""

    def __init__(self, subscriber: str) -> None:
        super().__init__(
            f"the process of {subscriber} ended {DEADLY} times while it had this event under way, "
            f"and nothing else of {subscriber} the last {DEADLY - BESIDE} times"
        )


class Quarantine:
    """What the relays of one process share: the services whose handlers run `here`, and whose `turn` it is alone.

    Sagas that may end the process take the same turn.
    """

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.turn = asyncio.Lock()


class Suspects:
    """The events of one relay that a process held when it ended, and how each is tried by `attempt`.

    One that was held once is tried as ever, but counted before. One that was under way when its process ended is
    tried alone, one in this process at a time, after a pause that grows. An attempt that ends in whatever way while the
    process lives clears it. `now` is the relay's steady time, and `hurry` has it remove at once what was acknowledged.
    """

    def __init__(
        self,
        outbox: Outbox,
        quarantine: Quarantine,
        attempt: Attempt,
        *,
        now: Callable[[], float],
        hurry: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._quarantine = quarantine
        self._attempt = attempt
        self._now = now
        self._hurry = hurry

    def has(self, delivery: Delivery) -> bool:
        """Whether the delivery is one of them: its handler runs here, and may end this process."""
        return delivery.crashes > 0 and delivery.subscriber in self._quarantine.here

    def admit(self, delivery: Delivery) -> None:
        """Of a delivery from disk: see when it may be tried."""
        if not self.has(delivery):
            delivery.crashes = 0  # what ended was the publisher's process
        elif BESIDE <= delivery.crashes < DEADLY:
            quiet = QUIET * _GROWTH ** (delivery.crashes - BESIDE)
            delivery.due_at = max(delivery.due_at, self._now() + quiet)

    async def deliver(self, partitions: Partitions, delivery: Delivery) -> float | None:
        """Try one, as `Attempt` says; put off where another one has its turn."""
        if delivery.crashes >= DEADLY:
            return await self._attempt(partitions, delivery)
        if delivery.crashes < BESIDE:
            return await self._counted(partitions, delivery)
        if self._quarantine.turn.locked():
            return self._now() + _SOON
        async with self._quarantine.turn:
            try:
                await partitions.isolate(delivery.event_id)
                again = await self._counted(partitions, delivery)
                if again is None:  # the next one may end the process, and this one would count as under way
                    self._hurry()
                    await partitions.forgotten(delivery)
                return again
            finally:
                partitions.clear(delivery.event_id)

    async def _counted(self, partitions: Partitions, delivery: Delivery) -> float | None:
        try:
            await self._count(delivery)
        except StorageError as error:
            log_failure(logger, error, "%s: an attempt could not be counted; trying again", self._outbox.source)
            return self._now() + _MISHAP
        again = await self._attempt(partitions, delivery)
        delivery.crashes = 0
        return again

    async def _count(self, delivery: Delivery) -> None:
        """As if this process had ended already: if it does, nobody can."""
        reason = None
        if delivery.crashes >= BESIDE:
            reason = f"its process ended {delivery.crashes} times while it had this event, so it is handled alone"
            logger.warning("%s of %s: %s", delivery.type, delivery.subscriber, reason)
        await self._outbox.suspect(delivery, delivery.crashes + 1, reason)
