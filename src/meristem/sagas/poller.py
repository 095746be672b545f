"""What the engine of one service's sagas does again and again: look around, forget what is old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from meristem.clock import Clock
from meristem.errors import StorageError
from meristem.failure_log import log_failure
from meristem.lifecycle import first_of
from meristem.sagas.journal import Journal
from meristem.sagas.policy import SagaPolicy
from meristem.storage.sweep import forget_daily

logger = logging.getLogger(__name__)

_FORGET_EACH = 600.0  # seconds: a saga that ends sets free the events that it alone could want


class Poller:
    """Has the engine `look` around when a saga's pause ends, when poked, and each `policy.scan` seconds of the machine.

    The last is for what other replicas did, so a test that moves the clock by days does not go through every second
    of them. `looked` follows each time.
    """

    def __init__(
        self,
        service: str,
        journal: Journal,
        clock: Clock,
        policy: SagaPolicy,
        *,
        look: Callable[[], Awaitable[None]],
        looked: Callable[[], None],
    ) -> None:
        self._service = service
        self._journal = journal
        self._clock = clock
        self._policy = policy
        self._look = look
        self._looked = looked
        self._poked = asyncio.Event()
        self._looking = False

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        """Begin; the owner of `spawn` ends the tasks."""
        spawn(self._scanning(), "take-over")
        spawn(self._forgetting(), "forget events")
        retention, what = timedelta(seconds=self._policy.retention), f"old sagas of {self._service}"
        spawn(forget_daily(self._journal.forget_sagas, self._clock, retention, what), "forget sagas")

    def poke(self) -> None:
        """Have the engine look around now."""
        self._poked.set()

    @property
    def is_looking(self) -> bool:
        """Whether the engine looks around, or is about to."""
        return self._looking or self._poked.is_set()

    async def _forgetting(self) -> None:
        while True:
            await self._clock.sleep(_FORGET_EACH)
            try:
                await self._journal.forget_events()
            except StorageError as error:
                log_failure(
                    logger, error, "events for the sagas of %s could not be forgotten; trying again", self._service
                )

    async def _scanning(self) -> None:
        has_waited = False  # the engine has looked around just before it starts this
        while True:
            self._looking = True
            left = None
            try:
                if has_waited:
                    self._poked.clear()
                    await self._look()
                left = await self._journal.next_wake()
            except Exception as error:  # sagas must go on when what was wrong is over
                log_failure(logger, error, "the sagas of %s could not be looked through", self._service)
            waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._poked.wait())]
            if left is not None and left > 0:
                waiting.append(asyncio.ensure_future(self._clock.sleep(left)))
            await asyncio.sleep(0)  # they wait
            self._looking = False
            self._looked()
            await first_of(*waiting, timeout=self._policy.scan)  # others write here too: no longer than `scan`
            has_waited = True
