"""Gathers what the processes of a system tell of themselves, once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from meristem.contracts.contract import operations
from meristem.errors import CallError
from meristem.lifecycle import Background
from meristem.operators.history_slots import Slots
from meristem.operators.inspection import Inspector
from meristem.operators.recent_figures import RecentFigures
from meristem.operators.recent_loads import RecentLoads
from meristem.operators.recent_routes import RecentRoutes
from meristem.operators.seen_calls import SeenCalls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.operators.health import Instance, Overview
    from meristem.operators.history_file import History
    from meristem.operators.inspection import ProcessDigest
    from meristem.operators.operator_contract import SpanView

logger = logging.getLogger(__name__)
DIGEST: Final = operations(Inspector)["digest"]
PAUSE: Final = 1.0  # seconds between two rounds
ANNOUNCEMENT: Final = "meristem.events.v1.Deliveries/announce"  # a process says to each other one that it is there


class Gatherer:
    """Asks every instance for its digest and hands what is new to the history; one that is silent keeps nobody waiting.

    `figures` are those of the last minute, `routes` those at the gateway, `loads` what each replica carries.
    `rounds` counts how often all were asked. `seen_calls` are callers and callees by recorded traces.
    """

    def __init__(self, overview: Overview, history: History) -> None:
        self.figures = RecentFigures()
        self.loads = RecentLoads()
        self.routes = RecentRoutes()
        self._overview = overview
        self._history = history
        self.rounds = 0
        self.seen_calls = SeenCalls()
        self._slots = Slots(time.time())
        self._seen: dict[tuple[str, int], tuple[str, int]] = {}
        self._background = Background("operators")

    async def start(self) -> None:
        self._background.spawn(self._gather(), "gather")

    async def drain(self) -> None:
        """It looks on to the end."""

    async def stop(self) -> None:
        await self._background.stop()

    async def _gather(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                logger.exception("gathering for operators failed; it is tried again")
            await asyncio.sleep(PAUSE)

    async def look(self) -> None:
        """One round."""
        instances = [each for each in self._overview.instances() if "process" in each.labels]
        ended = self._slots.ended(time.time())
        await asyncio.gather(*(self._ask(each, ended) for each in instances))
        self.rounds += 1
        alive = [_key(each) for each in instances]
        self.figures.keep(alive)
        self.loads.keep(alive)
        self.routes.keep(alive)

    async def _ask(self, instance: Instance, ended: float | None) -> None:
        key = _key(instance)
        life, seen = self._seen.get(key, ("", 0))
        try:
            digest: ProcessDigest = await instance.ask(DIGEST, DIGEST.request(life=life, seen=seen))
        except (OSError, CallError) as error:
            logger.debug("%s tells nothing new: %s", instance.labels, error)
            return
        self._seen[key] = digest.life, digest.seen
        now = time.monotonic()
        self._history.add_routes(self.routes.add(*key, digest, now, ended))
        self._history.add_loads(self.loads.add(*key, digest, now, ended))
        spans = without_announcements(digest.spans)
        self._history.add_spans(spans)
        self.seen_calls.add(spans)
        self._history.add_figures(self.figures.add(*key, digest, now, ended))


def without_announcements(spans: Sequence[SpanView]) -> list[SpanView]:
    """Those of the system's own work: a start of many processes would bury it under traces of one span each."""
    return [each for each in spans if each.name != ANNOUNCEMENT or each.error]


def _key(instance: Instance) -> tuple[str, int]:
    return instance.labels["process"], int(instance.labels["replica"])
