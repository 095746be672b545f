"""One way in which everything starts, drains and stops."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine

logger = logging.getLogger(__name__)


class Component(Protocol):
    """A part with a life: nothing happens before `start`, nothing is left after `stop`."""

    async def start(self) -> None:
        """Become ready to work; raises when it cannot."""
        ...

    async def drain(self) -> None:
        """Take no new work and finish what is in flight."""
        ...

    async def stop(self) -> None:
        """Release everything; safe to call twice and after a failed start."""
        ...


class Stack:
    """Starts components in order and drains and stops them in reverse."""

    def __init__(self) -> None:
        self._started: list[Component] = []

    async def start(self, component: Component) -> None:
        """Start `component` and remember to stop it."""
        self._started.append(component)  # before: a half-started component is stopped too
        await component.start()

    async def drain(self) -> None:
        """Drain everything, last started first."""
        for component in reversed(self._started):
            await component.drain()

    async def stop(self) -> None:
        """Stop everything, last started first; the first failure is raised when all were stopped."""
        failures: list[Exception] = []
        while self._started:
            component = self._started.pop()
            try:
                await component.stop()
            except Exception as failure:
                logger.exception("stopping %s failed", type(component).__name__)
                failures.append(failure)
        if failures:
            raise failures[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __del__(self) -> None:
        if self._started:
            names = ", ".join(type(component).__name__ for component in self._started)
            warnings.warn(f"never stopped: {names}; await Stack.stop()", ResourceWarning, stacklevel=2)


class Background:
    """The background tasks of one owner: their failures are logged at once, and none outlives `stop`."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the caller under the name `owner: name`."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self._owner}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=failure)

    async def join(self) -> None:
        """Wait until every task has ended by itself."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Cancel every task and wait until each has ended."""
        for task in list(self._tasks):
            task.cancel()
        await self.join()
