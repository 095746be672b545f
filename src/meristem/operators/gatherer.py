"""Gathers what the processes of a system tell of themselves, once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from meristem.contracts.contract import operations
from meristem.errors import CallError
from meristem.lifecycle import Background
from meristem.operators.inspection import Inspector
from meristem.operators.load_views import ProcessLoad
from meristem.operators.recent_figures import RecentFigures
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


class Usage:
    """What one replica uses: `memory` in bytes, `cpu` of one processor between the last two looks."""

    def __init__(self) -> None:
        self.memory: int | None = None
        self.cpu: float | None = None
        self._seconds: float | None = None
        self._at = 0.0

    def add(self, digest: ProcessDigest, now: float) -> None:
        used = None if self._seconds is None else digest.cpu - self._seconds
        self.cpu = used / (now - self._at) if used is not None and used >= 0 and now > self._at else None
        self.memory, self._seconds, self._at = digest.memory, digest.cpu, now


class Gatherer:
    """Asks every instance for its digest and hands what is new to the history; one that is silent keeps nobody waiting.

    `figures` are those of the last minute, `usage` is what each replica uses and `loads` what it carries, by process
    and replica. `rounds` counts how often all were asked. `seen_calls` are callers and callees by recorded traces.
    """

    def __init__(self, overview: Overview, history: History) -> None:
        self.figures = RecentFigures()
        self.usage: dict[tuple[str, int], Usage] = {}
        self.loads: dict[tuple[str, int], ProcessLoad] = {}
        self._overview = overview
        self._history = history
        self.rounds = 0
        self.seen_calls = SeenCalls()
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
        await asyncio.gather(*(self._ask(each) for each in instances))
        self.rounds += 1
        alive = [_key(each) for each in instances]
        self.figures.keep(alive)
        for gone in set(self.usage) - set(alive):
            del self.usage[gone]
            del self.loads[gone]

    async def _ask(self, instance: Instance) -> None:
        key = _key(instance)
        life, seen = self._seen.get(key, ("", 0))
        try:
            digest: ProcessDigest = await instance.ask(DIGEST, DIGEST.request(life=life, seen=seen))
        except (OSError, CallError) as error:
            logger.debug("%s tells nothing new: %s", instance.labels, error)
            return
        self._seen[key] = digest.life, digest.seen
        now = time.monotonic()
        self.usage.setdefault(key, Usage()).add(digest, now)
        process, replica = key
        self.loads[key] = ProcessLoad(process=process, replica=replica, loop_lag=digest.loop_lag, services=digest.loads)
        spans = without_announcements(digest.spans)
        self._history.add_spans(spans)
        self.seen_calls.add(spans)
        self._history.add_figures(self.figures.add(*key, digest, now))


def without_announcements(spans: Sequence[SpanView]) -> list[SpanView]:
    """Those of the system's own work: a start of many processes would bury it under traces of one span each."""
    return [each for each in spans if each.name != ANNOUNCEMENT or each.error]


def _key(instance: Instance) -> tuple[str, int]:
    return instance.labels["process"], int(instance.labels["replica"])
