"""Counts every ten seconds which events wait, for the history."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from meristem.errors import CallError
from meristem.lifecycle import Background
from meristem.operators.history_loads import BacklogCount, BacklogRow, Owed
from meristem.operators.history_slots import Slots

if TYPE_CHECKING:
    from meristem.operators.event_contract import EventOverview
    from meristem.operators.history_file import History
    from meristem.operators.system_events import SystemEvents

logger = logging.getLogger(__name__)
LOOK: Final = 0.5  # seconds between two looks whether ten seconds have ended
REST: Final = 50.0  # times as long as a count took it stands: millions that wait cost something to count
LONGEST: Final = 60.0  # seconds that it stands at most


class EventWatch:
    """Counts by the question that operators ask; while what they ask for can't be told, there is a gap."""

    def __init__(self, events: SystemEvents, history: History) -> None:
        self._events = events
        self._history = history
        self._slots = Slots(time.time())
        self._background = Background("event history")

    async def start(self) -> None:
        self._background.spawn(self._watch(), "count")

    async def drain(self) -> None:
        """It counts on to the end."""

    async def stop(self) -> None:
        await self._background.stop()

    async def _watch(self) -> None:
        told: BacklogCount | None = None
        rests = 0.0
        while True:
            await asyncio.sleep(LOOK)
            if (ended := self._slots.ended(time.time())) is None:
                continue
            began = time.monotonic()
            if began >= rests:
                told = await self._count()
                now = time.monotonic()
                rests = now + min((now - began) * REST, LONGEST)
            if told is not None:
                self._history.add_backlog(BacklogRow(ended, told))

    async def _count(self) -> BacklogCount | None:
        """What waits; None where nobody can tell, or no service has to do with events."""
        try:
            told = await self._events.overview("")
        except CallError as error:
            logger.debug("which events wait is not known: %s", error)
            return None
        except Exception:
            logger.exception("counting events for the history failed; it is tried again")
            return None
        return counted(told, time.time()) if told.events or told.subscribers else None


def counted(told: EventOverview, now: float) -> BacklogCount:
    """What the history keeps of it: pairs of services to whom nothing is owed are left out."""
    waiting = [
        Owed(outbox.service, each.subscriber, each.count, each.failed, max(now - each.oldest, 0.0))
        for outbox in told.outboxes
        for each in outbox.waiting
    ]
    dead = [Owed(outbox.service, name, dead=count) for outbox in told.outboxes for name, count in outbox.dead.items()]
    return BacklogCount(
        services=sorted(each.service for each in told.outboxes),
        owed=waiting + dead,
        lags={each.name: each.lag for each in told.subscribers if each.lag is not None},
    )
