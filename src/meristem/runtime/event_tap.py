"""The tap: what passes of events in this process, kept for a moment while an operator looks."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from typing import Final

import msgspec

from meristem.contracts.codec import encode
from meristem.events.facts import DeadLettered, Delivered, DeliveryRetried, Fact, Observer, Published
from meristem.redaction import redact, redact_fields

KEPT: Final = 2000  # the last of them; who looks too seldom is told how many are gone
_LOOKED_AT: Final = 10.0  # seconds after which nobody looks any more
_WAIT: Final = 1.0  # seconds for the first of them to come


class Passed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to an event at the time `at`, in seconds since the epoch.

    `what` is `published` by the `service`, with its `data`, or `delivered` to it, `retried` or `dead` there: after
    `seconds`, at the given `attempt`, for the reason `error`.
    """

    at: float
    what: str
    type: str
    service: str
    data: msgspec.Raw = msgspec.Raw()
    seconds: float | None = None
    attempt: int | None = None
    error: str | None = None


class Passage(msgspec.Struct, frozen=True):
    """What passed since a look: ask for what comes `after` next time; of so many that were `lost` nothing is known."""

    after: str
    lost: int
    events: list[Passed]


class EventTap:
    """Observes the outboxes and relays of a process while somebody looks, and not at all otherwise.

    It keeps the last that passed, and waits for nobody: a delivery does not notice it.
    """

    def __init__(self) -> None:
        self._observed: list[list[Observer]] = []
        self._passed: deque[Passed] = deque(maxlen=KEPT)
        self._count = 0
        self._origin = f"{os.getpid()}.{time.time_ns():x}"  # a process that starts again counts anew
        self._closing: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()

    def observe(self, observers: list[Observer]) -> None:
        """Hear an outbox or a relay as well, also one that is made while somebody looks already."""
        self._observed.append(observers)
        if self._closing is not None:
            observers.append(self._take)

    async def look(self, after: str) -> bytes:
        """What passed `after` the last look, as JSON; of a first one, to which nothing is known, nothing yet."""
        self._open()
        origin, _, number = after.rpartition(" ")
        seen = int(number) if origin == self._origin and number.isdecimal() else self._count if not after else 0
        if seen >= self._count and after:
            self._news.clear()
            try:
                async with asyncio.timeout(_WAIT):
                    await self._news.wait()
            except TimeoutError:
                pass
        new = max(self._count - seen, 0)
        kept = list(self._passed)[-new:] if new else []
        return encode(Passage(f"{self._origin} {self._count}", new - len(kept), kept))

    def _open(self) -> None:
        if self._closing is None:
            for each in self._observed:
                each.append(self._take)
        else:
            self._closing.cancel()
        self._closing = asyncio.get_running_loop().call_later(_LOOKED_AT, self._close)

    def _close(self) -> None:
        self._closing = None
        for each in self._observed:
            each.remove(self._take)
        self._passed.clear()

    def _take(self, fact: Fact) -> None:
        passed = _told(fact)
        if passed is not None:
            self._passed.append(passed)
            self._count += 1
            self._news.set()


def _told(fact: Fact) -> Passed | None:
    now = time.time()
    if isinstance(fact, Published):
        data = msgspec.Raw(str(redact_fields(encode(fact.event).decode())).encode())
        return Passed(now, "published", fact.type, fact.source.rpartition("/")[2], data)
    if isinstance(fact, Delivered):
        return Passed(now, "delivered", fact.type, fact.subscriber, seconds=fact.seconds, attempt=fact.attempt)
    if isinstance(fact, DeliveryRetried):
        error = redact(fact.error)
        return Passed(now, "retried", fact.type, fact.subscriber, seconds=fact.delay, attempt=fact.attempt, error=error)
    if isinstance(fact, DeadLettered):
        return Passed(now, "dead", fact.type, fact.subscriber, attempt=fact.attempts, error=redact(fact.error))
    return None
