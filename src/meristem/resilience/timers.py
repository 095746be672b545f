"""Timers of deadlines: one structure cancels every task of an event loop whose deadline has come."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio import Task
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from meristem.variables import attended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from meristem.variables import Leave

GRAIN: Final = 0.01  # seconds: a call is cancelled at most this much after its deadline, never before
CROWD: Final = 1024  # buckets above which the empty ones are cleared away

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_Task: TypeAlias = "Task[Any]"

running_task: Callable[[asyncio.AbstractEventLoop], Any]  # a coroutine of a call always runs in a task
if sys.version_info >= (3, 12):
    running_task = asyncio.current_task
else:  # asyncio.current_task is Python code here and four times slower than the dictionary it reads
    running_task = asyncio.tasks._current_tasks.get  # type: ignore[attr-defined] # noqa: SLF001


class Bucket(dict[_Task, int]):
    """The tasks whose deadlines fall in the same 10 ms, each with the cancellations that it had when it entered.

    A task is in a bucket at most once: whoever finds it there need not watch it again. Who enters around one that is
    watched already, because its first step came before, counts as `around` it: the outermost leaves last.
    """

    __slots__ = ("around", "ends", "fired")

    def __init__(self, ends: float) -> None:
        super().__init__()
        self.ends = ends
        self.around: dict[_Task, int] = {}
        self.fired = False

    def enter(self, task: _Task) -> None:
        """Watch `task` until it leaves as often as it entered."""
        if task in self:
            self.around[task] = self.around.get(task, 0) + 1
        else:
            self[task] = task.cancelling()

    def leave(self, task: _Task) -> bool:
        """Stop watching; true when the deadline cancelled the task and nobody else did.

        The rule is that of `asyncio.Timeout`: the own cancellation is taken back, and the end is the deadline's only
        when no other request to cancel came while the task was watched. Then it is late however it ended: a method
        may hide that it was cancelled, and answer, or raise something else.
        """
        if self.around and (count := self.around.pop(task, 0)):
            if count > 1:
                self.around[task] = count - 1
            return False
        cancelling = self.pop(task)
        return self.fired and task.uncancel() <= cancelling


class Deadlines:
    """Watches the deadlines of one event loop with a single timer, armed only while there is something to watch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._buckets: dict[int, Bucket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed = sys.maxsize
        self._crowd = CROWD
        self._overdue: set[_Task] = set()  # the loop itself holds tasks by weak references only
        self._told: set[str] = set()
        self._leave = self.leaver("work with a deadline")

    def bucket(self, at: float) -> Bucket:
        """The bucket of a deadline (on the clock of `time.monotonic`); enter it before the next await."""
        key = int(at / GRAIN)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._crowd:
                self._clear()
                self._crowd = max(CROWD, 2 * len(self._buckets))
            bucket = self._buckets[key] = Bucket((key + 1) * GRAIN)
            if key < self._armed:
                self._arm(key)
        return bucket

    async def within(
        self, at: float, work: Awaitable[Result], late: Callable[[], Exception], *, prompt: bool = False
    ) -> Result:
        """What `work` gives; at the deadline it is cancelled and `late()` raised, a moment later at most.

        Work that does not end then is left to itself; what is known to be `prompt` is waited for.
        """
        task: _Task = running_task(self.loop)
        bucket = self.bucket(at)
        if task in bucket:
            return await work
        bucket.enter(task)
        try:
            answer = await (work if prompt else attended(work, bucket, self._leave))
        except BaseException as error:
            if bucket.leave(task):
                raise late() from error
            raise
        if bucket.leave(task):
            raise late()
        return answer

    def leaver(self, label: str) -> Leave:
        """What runs the rest of overdue work in a task of its own, and says so the first time."""

        def leave(rest: Coroutine[Any, Any, Any]) -> None:
            if label not in self._told:
                self._told.add(label)
                logger.warning("%s goes on after its deadline: it hides that it is cancelled, or is slow to end", label)
            task = self.loop.create_task(rest, name=f"overdue: {label}")
            self._overdue.add(task)
            task.add_done_callback(self._on_ended)

        return leave

    def _on_ended(self, task: _Task) -> None:
        self._overdue.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("%s ended with an error that nobody waits for: %r", task.get_name(), error)

    def _arm(self, key: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = key
        # a millisecond more: loops round to it, and a timer that comes too early would come twice
        self._timer = self.loop.call_later((key + 1) * GRAIN - monotonic() + 0.001, self._fire)

    def _fire(self) -> None:
        self._timer, self._armed = None, sys.maxsize
        now = monotonic()
        for key in sorted(key for key, bucket in self._buckets.items() if bucket.ends <= now):
            bucket = self._buckets.pop(key)
            bucket.fired = True
            for task in list(bucket):
                task.cancel()
        self._clear()
        if self._buckets:
            self._arm(min(self._buckets))

    def _clear(self) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket}

    def stop(self) -> None:
        """Watch no longer; calls in flight are left to themselves."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed = None, sys.maxsize
        self._buckets.clear()
