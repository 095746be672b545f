"""A reload: everything is started anew while it serves, and what became of that is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meristem.supervision.restartable import StartError
from meristem.system.state_directory import ReloadStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Reload:
    """Runs one reload at a time; `status` is that of the last one, and `changed` is called with each new one.

    `replace_all` does it, and raises StartError where a part cannot start: the rest then keeps running as it was.
    """

    def __init__(
        self, replace_all: Callable[[], Awaitable[None]], *, say: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self.status: ReloadStatus | None = None
        self._replace_all = replace_all
        self._say = say
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start everything anew, unless that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="reload")

    async def stop(self) -> None:
        """Break it off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        number = 1 if self.status is None else self.status.number + 1
        self._tell(ReloadStatus(number))
        ended = ReloadStatus(number, ended=True, problem="it was broken off")
        try:
            ended = await self._outcome(number)
        finally:
            self._tell(ended)

    async def _outcome(self, number: int) -> ReloadStatus:
        self._say("starting everything anew, one replica after the other")
        try:
            await self._replace_all()
        except StartError as error:  # what is wrong with one would be wrong with all of them
            self._say(f"the rest keeps running as it was: {error}")
            return ReloadStatus(number, ended=True, problem=str(error), lasting=error.lasting)
        self._say("everything has been started anew")
        return ReloadStatus(number, ended=True)

    def _tell(self, status: ReloadStatus) -> None:
        self.status = status
        self._changed()
