"""The relay: delivers what the outbox holds until each subscriber has acknowledged it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from meristem.backoff import FULL, wait_after
from meristem.errors import OperationError
from meristem.events.acknowledgements import Acknowledgements
from meristem.events.backlog import Backlog, Backlogs
from meristem.events.bus import Bus
from meristem.events.claims import Claims
from meristem.events.facts import Delivered, Observer, emit
from meristem.events.partitions import Partitions
from meristem.events.poison import DEADLY, PoisonedError, Quarantine, Suspects
from meristem.events.redelivery import FailedDeliveries
from meristem.events.wake_up import WakeUp
from meristem.failure_log import log_failure
from meristem.lifecycle import Background
from meristem.resilience.timers import Deadlines

if TYPE_CHECKING:
    from meristem.clock import Clock
    from meristem.events.delivery import Delivery
    from meristem.events.outbox import Outbox

logger: Final = logging.getLogger("meristem.events")

_BATCH: Final = 500
_FEW: Final = 64  # rows that are fetched at a time where all others wait
_BESIDE: Final = 0.05  # seconds within which a relay that found another one claiming comes again
_MISHAP: Final = 1.0  # seconds to wait when the relay's own database fails


class Relay:
    """Delivers rows of one outbox over a bus: in order per key and subscriber, side by side otherwise.

    `width` deliveries of one subscriber are in flight at most, `window` of its rows in memory; what does not fit is
    read from disk as room appears. Every `poll` seconds, those of the outbox unless given, it looks for rows that no
    replica holds (of one that died, redriven ones). What becomes of a failed delivery is decided by `FailedDeliveries`,
    and one that may end this process is made by `Suspects`, in the process's `quarantine`.
    """

    _deadlines: Deadlines

    def __init__(
        self,
        outbox: Outbox,
        bus: Bus,
        clock: Clock,
        *,
        width: int = 64,
        window: int = 10_000,
        poll: float | None = None,
        pulse: Clock | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.observers: list[Observer] = []
        self._outbox = outbox
        self._bus = bus
        self._now = clock.steady
        self._width = width
        self._window = window
        self._spare = window // 10
        self._claims = Claims(outbox.lease, poll or outbox.poll, pulse)
        self._wake_up = WakeUp(clock)
        self._partitions: dict[str, Partitions] = {}
        self._backlogs = Backlogs(outbox)
        self._scan_is_due = True
        self._running = False
        self._quiet = asyncio.Event()
        self._acknowledged = Acknowledgements(
            outbox, clock, spawn=self._spawn, forget=self._forget, changed=self._quiet.set
        )
        self._suspects = Suspects(
            outbox, quarantine or Quarantine(), self._try, now=self._now, hurry=self._acknowledged.hurry
        )
        self._failed = FailedDeliveries(outbox, self.observers, now=self._now, forget=self._forget)
        self._background = Background(f"relay of {outbox.source}")
        self._clean = contextvars.copy_context()

    async def start(self) -> None:
        """Take over what an earlier process left, and whatever is committed from now on."""
        self._clean = contextvars.copy_context()  # deliveries must not run inside the publisher's call or unit of work
        self._deadlines = Deadlines(asyncio.get_running_loop())
        lease = self._outbox.lease
        lease.lost.append(self._lose)
        lease.freed.append(self.scan_soon)
        self._outbox.listeners.append(self.scan_soon)
        await self._claims.start()
        self._running = True
        self._outbox.courier = self
        self.scan_soon()
        self._spawn(self._keep_time())
        self._spawn(self._keep_scanning())

    async def drain(self) -> None:
        """Begin no further delivery, finish those in flight; the rest stays in the outbox."""
        self._running = False
        for partitions in self._partitions.values():
            partitions.close()
        while not self._acknowledged.is_empty or any(partitions.in_flight for partitions in self._partitions.values()):
            self._acknowledged.hurry()
            await self._changed()

    async def stop(self) -> None:
        """Cancel what is in flight and let other replicas have the rows."""
        was_started = self._outbox.courier is self
        self._running = False
        self._outbox.courier = None
        await self._background.stop()  # first, and then the rows: another relay must not deliver beside this one
        self._acknowledged.clear()
        self._partitions.clear()
        if was_started:
            self._deadlines.stop()
            await self._outbox.release()
            self._outbox.lease.lost.remove(self._lose)
            self._outbox.lease.freed.remove(self.scan_soon)
            self._outbox.listeners.remove(self.scan_soon)

    async def settle(self) -> None:
        """Wait until everything that is in memory was delivered or became a dead letter; waits for retries too."""
        while not self.is_settled:
            if self._is_idle:
                self._acknowledged.hurry()
            await self._changed()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is in memory that waits to be delivered or became a dead letter."""
        return self._acknowledged.is_empty and self._backlogs.are_empty and self._is_idle

    @property
    def is_busy(self) -> bool:
        """Whether something is delivered now, removed or fetched: all else that is in memory waits for its time."""
        fetches = any(self._room(each) > self._spare for each in self._backlogs.due)
        delivers = any(each.in_flight for each in self._partitions.values())
        return delivers or fetches or self._scan_is_due or not self._acknowledged.is_empty

    def hurry(self) -> None:
        """Remove what was acknowledged without waiting for more to be."""
        self._acknowledged.hurry()

    @property
    def _is_idle(self) -> bool:
        return all(each.is_empty for each in self._partitions.values())

    async def scan(self) -> None:
        """Take up now what no replica holds on disk, as every `poll` seconds."""
        await self._scan()
        self._wake_up.set(self._now())

    def accepts(self, subscriber: str) -> bool:
        """From memory go events of which no earlier ones can be on disk or in another replica's hands."""
        return (
            self._running
            and self._room(subscriber) > self._spare
            and self._claims.is_alone
            and self._backlogs.is_caught_up(subscriber)
        )

    def has_room(self, subscriber: str, key: str) -> bool:
        """A backlog does not fill the window: keys of which nothing is in memory have the rest."""
        room = self._room(subscriber)
        is_new = room > 0 and not self._of(subscriber).has(key)
        return self._running and (room > self._spare or is_new) and self._claims.are_open

    def _room(self, subscriber: str) -> int:
        partitions = self._partitions.get(subscriber)
        return self._window if partitions is None else self._window - len(partitions.held)

    def take(self, deliveries: Iterable[Delivery]) -> None:
        if self._running:
            for delivery in deliveries:
                self._of(delivery.subscriber).put(delivery)

    def fetch_soon(self, subscriber: str) -> None:
        """Rows of this subscriber are on disk only: fetch them as soon as there is room."""
        self._backlogs.add(subscriber)
        self._wake_up.set(self._now())

    def resume(self, subscriber: str) -> None:
        """A subscriber says that it is there: deliver what waits for it now."""
        if (partitions := self._partitions.get(subscriber)) is not None:
            partitions.resume()

    def scan_soon(self) -> None:
        """Look for rows of any subscriber on disk now, as every `poll` seconds."""
        self._scan_is_due = True
        self._wake_up.set(self._now())

    def _of(self, subscriber: str) -> Partitions:
        partitions = self._partitions.get(subscriber)
        if partitions is None:
            partitions = self._partitions[subscriber] = Partitions(
                subscriber,
                self._deliver,
                width=self._width,
                now=self._now,
                spawn=self._spawn,
                wake_at=self._wake_up.set,
                changed=self._quiet.set,
            )
        return partitions

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._clean.run(self._background.spawn, work, "deliver")

    async def _changed(self) -> None:
        self._quiet.clear()
        await self._quiet.wait()

    async def _keep_time(self) -> None:
        while True:
            await self._wake_up.wait()
            try:
                await self._tick()
            except Exception as error:  # events must go on when the database comes back
                log_failure(logger, error, "%s: its outbox cannot be read; trying again", self._outbox.source)
                self._wake_up.set(self._now() + _MISHAP)
            self._quiet.set()

    async def _keep_scanning(self) -> None:
        while True:
            await self._claims.pause()
            self.scan_soon()

    async def _tick(self) -> None:
        for partitions in list(self._partitions.values()):
            partitions.wake()
        scanned = self._claims.now() if self._scan_is_due else None
        if scanned is not None:
            await self._scan()
        if self._claims.are_open:
            for subscriber in list(self._backlogs.due):
                await self._fetch(subscriber)
        if scanned is not None:  # whose rows are on disk alone is known, subscriber by subscriber
            self._claims.believe(scanned)

    async def _scan(self) -> None:
        """See which other replicas live, and which rows none holds."""
        self._scan_is_due = False
        await self._claims.look()
        await self._outbox.clear_up()
        self._backlogs.retry()
        for subscriber in await self._outbox.subscribers():
            self.fetch_soon(subscriber)

    def _lose(self) -> None:
        """Others may have every row by now: forget what is in memory, and begin as at the start."""
        for partitions in self._partitions.values():
            partitions.close()
        self._partitions.clear()
        self._claims.wait()
        self.scan_soon()

    async def _fetch(self, subscriber: str) -> None:
        """Fill the room that this subscriber has in memory from disk, until there is none or a round finds nothing."""
        found: int | None = None  # rows in this round; None in one that began before
        backlog, partitions = self._backlogs.of(subscriber), self._of(subscriber)
        if len(partitions.held) <= self._share(backlog) // 2:
            backlog.is_used_up()
        elif not partitions.has_time:
            return
        while self._running and (room := self._room_for(backlog, partitions)) > 0:
            if backlog.is_at_start:
                found = 0
            claimed = await backlog.claim(room)
            if backlog.refusals:
                self._wake_up.set(self._now() + wait_after(backlog.refusals, _BESIDE, _MISHAP, FULL))
                return
            for each in claimed:
                self._failed.mistrust(each, self._bus.policy(subscriber, each.type))
                self._suspects.admit(each)
            self.take(claimed)
            found = None if found is None else found + len(claimed)
            if await backlog.is_empty():
                self._backlogs.remove(subscriber)
                return
            if backlog.is_at_start and found == 0:
                self._backlogs.put_off(subscriber)
                return

    def _share(self, backlog: Backlog) -> int:
        """How many rows this relay has in memory: beside others it leaves them what it has no time for."""
        most = self._window - self._spare
        return min(most, backlog.share) if self._claims.are_shared else most

    def _room_for(self, backlog: Backlog, partitions: Partitions) -> int:
        """How many rows to claim: more than its share where what it has of them only waits."""
        room = self._room(partitions.subscriber) - self._spare
        share = self._share(backlog) - len(partitions.held)
        return min(_BATCH, room, max(share, _FEW if partitions.has_time else 0))

    def _deliver(self, partitions: Partitions, delivery: Delivery) -> Coroutine[Any, Any, float | None]:
        if self._suspects.has(delivery):
            return self._suspects.deliver(partitions, delivery)
        return self._try(partitions, delivery)

    async def _try(self, partitions: Partitions, delivery: Delivery) -> float | None:
        policy = self._bus.policy(delivery.subscriber, delivery.type)
        try:
            await self._attempt(delivery, policy.timeout)
        except Exception as raised:  # whatever a handler raises: it is logged, recorded and mostly tried again
            return await self._failed.handle(partitions, delivery, policy, raised)
        self._acknowledge(partitions, delivery)
        return None

    def _attempt(self, delivery: Delivery, timeout: float) -> Coroutine[Any, Any, None]:
        if delivery.crashes >= DEADLY:
            raise PoisonedError(delivery.subscriber)
        is_new, delivery.is_new = delivery.is_new, False  # however the attempt ends, the event may have been handled
        return self._deadlines.within(
            monotonic() + timeout,
            self._bus.publish(delivery.open(), delivery.subscriber, is_new=is_new),
            lambda: OperationError(f"no acknowledgement within {timeout:g} s"),
        )

    def _acknowledge(self, partitions: Partitions, delivery: Delivery) -> None:
        partitions.rejections = 0
        if delivery.outages:  # what it needed is there again, which the others wait for as well
            partitions.resume()
        self._acknowledged.add(partitions, delivery)
        if self.observers:
            seconds = max(0.0, self._now() - delivery.created)
            emit(self.observers, Delivered(delivery.type, delivery.subscriber, seconds, delivery.attempts + 1))

    def _forget(self, partitions: Partitions, delivery: Delivery) -> None:
        partitions.held.discard((delivery.event_id, delivery.key))
        if partitions.suspects:
            partitions.clear(delivery.event_id)
        # At half: a hop to the database for each row that is acknowledged would be one too many.
        backlog = self._backlogs.behind(partitions.subscriber)
        if backlog is not None and len(partitions.held) <= self._share(backlog) // 2:
            self._wake_up.set(self._now())
