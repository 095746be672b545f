"""Work of a saga side by side: how much at once, and what becomes of the rest when some of it fails."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any, NoReturn

from meristem.errors import MisuseError
from meristem.sagas.positions import Branch, enter_branch, reserve
from meristem.sagas.steps import Issuer


class Gathering:
    """Runs branches of a saga's function to their ends, `limit` at once.

    Each has its place in the journal from the start. The first failure ends the others: what has not begun never
    does, a pause ends, and what may have had its effect is waited for.
    """

    def __init__(self, issuer: Issuer, works: tuple[Any, ...], limit: int | None) -> None:
        if limit is not None and limit < 1:
            _refuse(works, f"flow.gather(limit={limit}): at least one branch must run at a time")
        for work in works:
            if not inspect.iscoroutine(work) or inspect.getcoroutinestate(work) != inspect.CORO_CREATED:
                _refuse(
                    works,
                    f"flow.gather() takes calls, steps and coroutines that have not begun, not {work!r}: write "
                    "`flow.gather(self.rooms.hold(night), self.pay(flow, card))`, without a task around them",
                )
        self._issuer = issuer
        self._works: tuple[Coroutine[Any, Any, Any], ...] = works
        self._limit = limit or len(works)
        self._branches: dict[asyncio.Task[Any], Branch] = {}  # in the order of the arguments

    async def run(self, saga_id: str) -> tuple[Any, ...]:
        """The replies in the order of the arguments; raises the first failure when all has ended."""
        waiting = deque(zip(reserve(saga_id, len(self._works)), self._works, strict=True))
        running: set[asyncio.Task[Any]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < self._limit:
                    running.add(self._start(*waiting.popleft()))
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                self._issuer.moved()
                if any(_has_failed(task) for task in self._branches):
                    break
            await self._end(running)
        except asyncio.CancelledError:
            self._issuer.left()
            self._issuer.give_up(self._prefixes(running))
            await _cancel(running)
            raise
        finally:
            for _, work in waiting:
                work.close()
            self._issuer.gathered(self._branches)
        failed = next((task for task in self._branches if _has_failed(task) and task not in running), None)
        if failed is not None:
            failed.result()
        return tuple(task.result() for task in self._branches)

    def _start(self, branch: Branch, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(_run(branch, work), name=f"branch {branch.prefix}")
        self._branches[task] = branch
        return task

    async def _end(self, running: set[asyncio.Task[Any]]) -> None:
        """Have what still runs end; each answer that is waited for comes in its turn, as in every replay."""
        if not running:
            return
        left = self._issuer.give_up(self._prefixes(running))
        if left:
            await asyncio.wait(left)
        await _cancel(running)

    def _prefixes(self, tasks: Iterable[asyncio.Task[Any]]) -> tuple[str, ...]:
        return tuple(self._branches[task].prefix for task in tasks)


async def _run(branch: Branch, work: Coroutine[Any, Any, Any]) -> Any:
    enter_branch(branch)
    return await work


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _refuse(works: tuple[Any, ...], text: str) -> NoReturn:
    for work in works:
        if inspect.iscoroutine(work):
            work.close()
    raise MisuseError(text)
