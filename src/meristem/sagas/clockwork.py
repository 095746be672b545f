"""What the engine of one service's sagas does again and again: renew its leases, look around, forget what is old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from meristem.clock import Clock
from meristem.errors import StorageError
from meristem.sagas.journal import Journal
from meristem.sagas.policy import Policy

logger = logging.getLogger(__name__)

_FORGET_EACH = 600.0


class Clockwork:
    """Has the engine `look` around every `policy.scan` seconds, and at once when poked; `looked` follows each time."""

    def __init__(
        self,
        service: str,
        journal: Journal,
        clock: Clock,
        policy: Policy,
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
        """Begin; whoever spawns the tasks ends them."""
        spawn(self._renewing(), "leases")
        spawn(self._scanning(), "take-over")
        spawn(self._ticking(), "clock")
        spawn(self._forgetting(), "forget")

    def poke(self) -> None:
        """Have the engine look around now."""
        self._poked.set()

    @property
    def is_looking(self) -> bool:
        """Whether the engine looks around, or is about to."""
        return self._looking or self._poked.is_set()

    async def _renewing(self) -> None:
        while True:
            await self._clock.sleep(self._policy.renewal)
            try:
                await self._journal.renew()
            except StorageError:
                logger.exception("the leases of %s's sagas could not be renewed", self._service)

    async def _ticking(self) -> None:
        while True:  # and nothing else: a clock that is moved by hand does not wait for a database
            await self._clock.sleep(self._policy.scan)
            self._poked.set()

    async def _forgetting(self) -> None:
        while True:
            await self._clock.sleep(_FORGET_EACH)
            try:
                await self._journal.forget()
            except StorageError:
                logger.exception("old sagas of %s could not be deleted", self._service)

    async def _scanning(self) -> None:
        while True:
            await self._poked.wait()
            self._poked.clear()
            self._looking = True
            try:
                await self._look()
            except StorageError:
                logger.exception("the sagas of %s could not be looked through", self._service)
            self._looking = False
            self._looked()
