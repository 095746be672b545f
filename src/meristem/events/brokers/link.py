"""The link to a broker: whether it stands, so that nothing waits for an answer that can't come any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Link:
    """Stands or is broken, as its client tells; what waits in `held` ends as it breaks."""

    def __init__(self) -> None:
        self._stands = asyncio.Event()
        self._waiting: set[asyncio.Timeout] = set()

    def stand(self) -> None:
        """The broker answers from now on."""
        self._stands.set()

    def break_off(self) -> None:
        """No answer comes to what was asked before."""
        self._stands.clear()
        now = asyncio.get_running_loop().time()
        for each in self._waiting:
            each.reschedule(now)
        self._waiting.clear()

    async def wait(self) -> None:
        """Return when the link stands."""
        await self._stands.wait()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Raise ConnectionError where the link does not stand, and in the midst of the block as soon as it breaks."""
        if not self._stands.is_set():
            raise ConnectionError("the connection is lost")
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._waiting.add(scope)
                try:
                    yield
                finally:
                    self._waiting.discard(scope)
        except TimeoutError:
            if scope.expired():
                raise ConnectionError("the connection was lost") from None
            raise
