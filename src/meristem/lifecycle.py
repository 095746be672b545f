"""One way in which everything starts, drains and stops."""

from __future__ import annotations

import asyncio
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Coroutine, Iterable

from meristem.variables import resumed

logger = logging.getLogger(__name__)
DRAINING: Final = 30.0  # seconds for what is in flight when a process is asked to end
GRACE: Final = 4.0  # seconds for what was cancelled to end
ENDING: Final = DRAINING + GRACE + 1.0  # seconds for a process to end in all, before it is killed


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


class SideBySide:
    """Components that start one after the other, and drain and stop at the same time."""

    def __init__(self, components: Collection[Component]) -> None:
        self._components = components

    async def start(self) -> None:
        for component in self._components:
            await component.start()

    async def drain(self) -> None:
        """Drain all of them; it takes as long as the one that takes longest."""
        await asyncio.gather(*(component.drain() for component in self._components))

    async def stop(self) -> None:
        """Stop all of them; the first failure is raised when all were stopped."""
        ended = await asyncio.gather(*(each.stop() for each in self._components), return_exceptions=True)
        for failure in ended:
            if failure is not None:
                raise failure


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
        """Cancel every task and wait until each has ended; one that ignores it is named in the log and left."""
        for task in list(self._tasks):
            task.cancel()
        try:
            async with asyncio.timeout(GRACE):
                await self.join()  # also what they begin while they end
        except TimeoutError:
            name_stubborn(self._tasks)


async def first_of(*waits: Awaitable[Any], timeout: float | None = None) -> None:  # noqa: ASYNC109 - a wait of its own
    """Wait until the first of `waits` has ended, or for `timeout` seconds of the machine; the others are cancelled.

    All of them have ended when it returns; their failures are not raised.
    """
    futures = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)  # raises when this task itself is cancelled


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all to their ends; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def end(tasks: Collection[asyncio.Task[Any]]) -> Collection[asyncio.Task[Any]]:
    """Wait until cancelled tasks have ended; those that ignore it are named in the log and returned."""
    _, left = await asyncio.wait(tasks, timeout=GRACE) if tasks else ((), ())
    name_stubborn(left)
    return left


def name_stubborn(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Say which tasks ignore that they were cancelled; the stop goes on without them."""
    for task in tasks:
        logger.error(
            "%s ignores that it was cancelled, in %s: let CancelledError pass; the stop goes on without it",
            task.get_name(),
            where(task),
        )


def where(task: asyncio.Task[Any]) -> str:
    """The innermost coroutine that a task waits in, asyncio's own left out."""
    waits: Any = task.get_coro()
    found = waits
    while waits is not None:
        code = getattr(waits, "cr_code", None)
        if code is not None and Path(code.co_filename).parent.name != "asyncio":
            found = waits
        waits = _below(waits)
    frame = getattr(found, "cr_frame", None)
    return getattr(found, "__qualname__", "?") + (f" ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else "")


def _below(step: Any) -> Any:
    """What a coroutine or generator waits for, also if it takes the steps of that by hand, as `variables` does."""
    frame = getattr(step, "gi_frame", None)
    if frame is not None and frame.f_code is resumed.__code__:
        return frame.f_locals["work"]
    return getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
