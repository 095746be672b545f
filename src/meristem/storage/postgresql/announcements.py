"""Hears what other processes announce, by LISTEN on a connection of its own that no pooler may hand around."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import asyncpg

from meristem.backoff import HALF, wait_after
from meristem.lifecycle import Background
from meristem.storage.postgresql.connection_opener import reason_of
from meristem.storage.postgresql.translation import RAISED

if TYPE_CHECKING:
    from collections.abc import Callable

logger: Final = logging.getLogger("meristem.storage")
_ATTEMPT: Final = 5.0  # seconds for a connection to come about
_BASE, _CAP = 0.2, 10.0  # seconds between two attempts


class Announcements:
    """Between `start` and `stop`, calls each of `listeners` on the event loop for what is announced on a channel.

    What was announced while there was no connection is unknown: they are called once there is one again, too.
    """

    def __init__(self, url: str, channel: str, name: str) -> None:
        self.listeners: list[Callable[[], None]] = []
        self._url = url
        self._channel = channel
        self._name = name
        self._background = Background(f"listener of {name}")

    def start(self) -> None:
        """Listen from now on."""
        self._background.spawn(self._keep(), "listen")

    async def stop(self) -> None:
        """Listen no more."""
        await self._background.stop()

    async def _keep(self) -> None:
        attempt = 1
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=_ATTEMPT, statement_cache_size=0)
            except RAISED as error:
                if attempt == 1:
                    logger.warning(
                        "%s can't listen for what others announce (%s): it looks twice a second, and tries again",
                        self._name, reason_of(error)[0],
                    )  # fmt: skip
                attempt += 1
            else:
                attempt = 1
                await self._hear(connection)
            await asyncio.sleep(wait_after(attempt, _BASE, _CAP, HALF))

    async def _hear(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Listen until the connection ends."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda *_: ended.set())
        try:
            await connection.add_listener(self._channel, lambda *_: self._tell())
            self._tell()
            await ended.wait()
        except RAISED:
            logger.warning("%s lost the connection that listens; it makes another one", self._name)
        finally:
            connection.terminate()

    def _tell(self) -> None:
        for each in self.listeners:
            each()
