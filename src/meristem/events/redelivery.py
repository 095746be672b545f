"""What becomes of a delivery that failed: it waits while something is away, is tried again, or is a dead letter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meristem.backoff import FULL, wait_after
from meristem.errors import StorageError, Undeliverable
from meristem.events.bus import SubscriberAway
from meristem.events.facts import Away, DeadLettered, DeliveryRetried, Observer, emit
from meristem.events.outage import describe, is_outage, patience_asked_for
from meristem.events.poison import BESIDE, DEADLY, PoisonedError
from meristem.failure_log import log_failure

if TYPE_CHECKING:
    from meristem.events.delivery import Delivery
    from meristem.events.outbox import Outbox
    from meristem.events.partitions import Partitions
    from meristem.events.policy import DeliveryPolicy

logger: Final = logging.getLogger("meristem.events")

PATIENCE: Final = 7 * 86400.0  # seconds since it was published for which an event waits for an outage to end
_SHARE: Final = 0.1  # of its age, which the pauses of an event that waits may last: so the end is noticed soon after it
_LONGEST: Final = 900.0  # seconds of such a pause
_AWAY_BASE: Final = 0.25
_AWAY_CAP: Final = 5.0  # seconds until a subscriber that is away is asked again, unless it says before that it is back
_MISHAP: Final = 1.0  # seconds to wait when the relay's own database fails


class FailedDeliveries:
    """Decides by what failed, records it beside the event, and tells observers.

    `now` is the relay's steady time; `forget` is called for a delivery whose row is done with.
    """

    def __init__(
        self,
        outbox: Outbox,
        observers: list[Observer],
        *,
        now: Callable[[], float],
        forget: Callable[[Partitions, Delivery], None],
    ) -> None:
        self._outbox = outbox
        self._observers = observers
        self._now = now
        self._forget = forget

    def mistrust(self, delivery: Delivery, policy: DeliveryPolicy) -> None:
        """Of a delivery from disk: a pause longer than any was written before the clock stepped back, and is over."""
        now = self._now()
        if delivery.due_at - now > _longest_pause(delivery, policy, now):
            delivery.due_at = now

    async def handle(
        self, partitions: Partitions, delivery: Delivery, policy: DeliveryPolicy, failure: Exception
    ) -> float | None:
        """When to try again; None when the delivery is a dead letter."""
        if isinstance(failure, SubscriberAway):
            if failure.broke and self._is_deadly(partitions, delivery):
                return await self._bury(partitions, delivery, PoisonedError(delivery.subscriber))
            return await self._is_away(partitions, delivery, failure)
        if isinstance(failure, Undeliverable | PoisonedError):
            return await self._bury(partitions, delivery, failure)
        # Older than that, an outage counts as a refusal: the inbox will not know the event for ever.
        if is_outage(failure) and self._now() - delivery.created < PATIENCE:
            return await self._wait(partitions, delivery, policy, failure)
        if delivery.attempts + 1 >= policy.attempts:
            return await self._bury(partitions, delivery, failure)
        delivery.attempts += 1
        delivery.outages = 0
        delay = policy.delay(delivery.attempts)
        tried = f"attempt {delivery.attempts} of {policy.attempts}"
        logger.warning(
            "%s did not handle %s (%s), again in %.1f s: %s",
            delivery.subscriber, delivery.type, tried, delay, describe(failure),
        )  # fmt: skip
        return await self._again(delivery, delay, failure, counted=True)

    def _is_deadly(self, partitions: Partitions, delivery: Delivery) -> bool:
        """Whether it is this event that ends its subscriber's process: known once it was the only one under way."""
        delivery.crashes += partitions.is_alone or delivery.crashes < BESIDE
        partitions.suspects.add(delivery.event_id)
        return delivery.crashes >= DEADLY

    async def _is_away(self, partitions: Partitions, delivery: Delivery, away: SubscriberAway) -> float:
        delay = max(wait_after(partitions.rejections + 1, _AWAY_BASE, _AWAY_CAP, FULL), away.retry_after or 0.0)
        # All its partitions pause, and no attempt is counted: that it is away says nothing of the event.
        if partitions.pause(self._now() + delay):
            partitions.rejections += 1
            emit(self._observers, Away(partitions.subscriber, delay, str(away)))
            if partitions.rejections == 1:
                await self._record(delivery, delay, away)
        return self._now() + delay

    async def _wait(
        self, partitions: Partitions, delivery: Delivery, policy: DeliveryPolicy, failure: Exception
    ) -> float:
        delivery.outages += 1
        delay = wait_after(delivery.outages, policy.base, _longest_pause(delivery, policy, self._now()), FULL)
        if partitions.outages == 0:
            logger.warning(
                "%s can't handle %s for now, again in %.1f s; no attempt is counted: %s",
                delivery.subscriber, delivery.type, delay, describe(failure),
            )  # fmt: skip
        partitions.outages += 1
        return await self._again(delivery, delay, failure, counted=False)

    async def _again(self, delivery: Delivery, delay: float, failure: Exception, *, counted: bool) -> float:
        delay = max(delay, patience_asked_for(failure) or 0.0)
        delivery.due_at = self._now() + delay
        await self._record(delivery, delay, failure)
        error, type_, subscriber = describe(failure), delivery.type, delivery.subscriber
        emit(self._observers, DeliveryRetried(type_, subscriber, delivery.attempts, delay, error, counted))
        return delivery.due_at

    async def _record(self, delivery: Delivery, delay: float, failure: Exception) -> None:
        try:
            await self._outbox.postpone(delivery, delay, describe(failure))
        except StorageError as error:  # what was counted counts in memory; after a crash it is tried once more
            log_failure(logger, error, "%s: a failed attempt could not be recorded", self._outbox.source)

    async def _bury(self, partitions: Partitions, delivery: Delivery, failure: Exception) -> float | None:
        error = describe(failure)
        attempts = delivery.attempts + (DEADLY if isinstance(failure, PoisonedError) else 1)
        try:
            await self._outbox.dead_letter(delivery, attempts, error)
        except StorageError as problem:
            log_failure(logger, problem, "%s: a dead letter could not be recorded; trying again", self._outbox.source)
            return self._now() + _MISHAP
        self._forget(partitions, delivery)
        logger.error(
            "%s of %s is a dead letter after %s: mend the cause, then run `meristem events redrive`: %s",
            delivery.type, delivery.subscriber, "1 attempt" if attempts == 1 else f"{attempts} attempts", error,
        )  # fmt: skip
        emit(self._observers, DeadLettered(delivery.type, delivery.subscriber, attempts, error))
        return None


def _longest_pause(delivery: Delivery, policy: DeliveryPolicy, now: float) -> float:
    """Seconds that a delivery waits for its next attempt at most, whatever the last one met."""
    return max(policy.cap, min(_LONGEST, _SHARE * (now - delivery.created)))
