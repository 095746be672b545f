"""The gauges of what waits in the databases of one process: counted when `/metrics` is asked for, never in between."""

from __future__ import annotations

import asyncio
import logging
from math import inf, nan
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from meristem.errors import StorageError
from meristem.events.bus import SubscriberAway
from meristem.failure_log import log_failure
from meristem.lifecycle import Background
from meristem.telemetry.metrics import Measure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meristem.clock import Clock
    from meristem.telemetry.metrics import Registry

logger = logging.getLogger(__name__)
FRESH: Final = 1.0  # seconds for which counts stand, however many look
PATIENCE: Final = 2.0  # seconds that a scrape waits; then it is given the counts of before

Labels: TypeAlias = tuple[str, ...]


class Counted(msgspec.Struct, frozen=True):
    """What one service's database holds: events by subscriber, and sagas by state.

    `oldest` is when the first of the `pending` events of a subscriber was published, in seconds since the epoch. Of
    these are `waiting` whose last attempt failed.
    """

    pending: dict[str, int] = {}
    oldest: dict[str, float] = {}
    waiting: dict[str, int] = {}
    dead: dict[str, int] = {}
    sagas: dict[str, int] = {}


class Gauges:
    """Counts what the services of a process keep, and what a broker keeps for them; `counters` are by service.

    A count runs on a reader of the database, outside of the event loop. What cannot be counted is not shown.
    """

    def __init__(self, registry: Registry, clock: Clock, *, now: Callable[[], float] = monotonic) -> None:
        self.counters: dict[str, Callable[[], Awaitable[Counted]]] = {}
        self.lag: Callable[[], Awaitable[Mapping[str, int]]] | None = None
        self._clock = clock
        self._now = now
        self._behind: dict[Labels, float] = {}
        self._found: dict[str, Counted] = {}
        self._counted: dict[Labels, float] = {}
        self._known: dict[str, set[Labels]] = {}
        self._background = Background("gauges")
        self._counting: asyncio.Task[None] | None = None
        self._looked = -inf
        self._open = False
        served = ("service", "subscriber")
        for name, text, labels, read in (
            ("meristem_outbox_events", "Events that wait to be delivered.", served, self._pending),
            ("meristem_outbox_age_seconds", "Age of the oldest event that waits.", served, self._ages),
            ("meristem_outbox_waiting", "Of these, events whose last attempt failed.", served, self._waiting),
            ("meristem_bus_lag", "Events that the broker has and the service not yet.", ("service",), self._lags),
            ("meristem_dead_letters", "Events that wait for a person.", served, self._dead),
            ("meristem_counted_timestamp_seconds", "When what waits was counted last.", ("service",), self._times),
            ("meristem_sagas", "Sagas that have not ended.", ("service", "state"), self._sagas),
        ):
            registry.add(Measure(name, text, "gauge", labels, read))

    async def start(self) -> None:
        """Count from now on for who looks: the tables are there."""
        self._open = True

    async def drain(self) -> None:
        """Nothing is owed."""

    async def stop(self) -> None:
        """Count no more."""
        self._open = False
        await self._background.stop()

    async def look(self) -> None:
        """Count anew unless that was done a moment ago."""
        if self._open and self._counting is None and self._now() - self._looked >= FRESH:
            self._counting = self._background.spawn(self._count(), "count")
        if self._counting is not None:
            # `wait`, which cancels nothing: a scrape that gives up leaves the count to the next one.
            await asyncio.wait({self._counting}, timeout=PATIENCE)

    async def _count(self) -> None:
        try:
            for service, counter in self.counters.items():
                # Before the count, so that all that was committed until then is in it (`testing/elsewhere.py`).
                began = self._clock.now().timestamp()
                try:
                    self._found[service] = await counter()
                    self._counted[service,] = began
                except StorageError as error:
                    self._found.pop(service, None)
                    self._counted.pop((service,), None)
                    log_failure(logger, error, "%s: what waits in its database cannot be counted", service)
            if self.lag is not None:
                try:
                    self._behind = {(service,): float(count) for service, count in (await self.lag()).items()}
                except SubscriberAway:  # nobody knows, which is not the same as none
                    self._behind = dict.fromkeys(self._behind, nan)
        finally:
            # After a failure as well: a database in trouble is not asked again by every scrape.
            self._looked, self._counting = self._now(), None

    def _times(self) -> dict[Labels, float]:
        return self._counted

    def _lags(self) -> dict[Labels, float]:
        return self._behind

    def _pending(self) -> dict[Labels, float]:
        return self._shown("pending", lambda found: found.pending)

    def _ages(self) -> dict[Labels, float]:
        now = self._clock.now().timestamp()
        return self._shown("age", lambda found: {name: max(0.0, now - at) for name, at in found.oldest.items()})

    def _waiting(self) -> dict[Labels, float]:
        return self._shown("waiting", lambda found: found.waiting)

    def _dead(self) -> dict[Labels, float]:
        return self._shown("dead", lambda found: found.dead)

    def _sagas(self) -> dict[Labels, float]:
        return self._shown("sagas", lambda found: found.sagas)

    def _shown(self, what: str, values: Callable[[Counted], dict[str, int] | dict[str, float]]) -> dict[Labels, float]:
        """The values by service and name; one that was shown once is 0 when there is nothing any more."""
        # An alert compares with 0: a series that vanishes when nothing is left would never resolve it.
        known = self._known.setdefault(what, set())
        shown: dict[Labels, float] = {labels: 0.0 for labels in known if labels[0] in self._found}
        for service, found in self._found.items():
            shown |= {(service, name): float(value) for name, value in values(found).items()}
        known.update(shown)
        return shown
