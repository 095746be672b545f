"""Deadlines: one timer structure cancels every call of an event loop that takes too long."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio import Task
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from meristem.errors import CallError, Code
from meristem.variables import resumed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from meristem.context import Context
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation

ON_THE_WAY: Final = 0.05  # seconds: a caller that gave the whole timeout began to count a little earlier
GRAIN: Final = 0.01  # seconds: a call is cancelled at most this much after its deadline, never before
CROWD: Final = 1024  # buckets above which the empty ones are cleared away
_END: Final = object()

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_Task: TypeAlias = "Task[Any]"
Leave: TypeAlias = "Callable[[Coroutine[Any, Any, Any]], None]"

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

    __slots__ = ("around", "ends", "fired", "kept")

    def __init__(self, ends: float) -> None:
        super().__init__()
        self.ends = ends
        self.around: dict[_Task, int] = {}
        self.fired = False
        self.kept = 0.0  # somebody may still enter until then, though the bucket is empty

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
        return self._buckets.get(key) or self._open(key)

    async def within(self, at: float, work: Awaitable[Result], late: Callable[[], Exception]) -> Result:
        """What `work` gives; at the deadline it is cancelled and `late()` raised, a moment later at most."""
        task: _Task = running_task(self.loop)
        bucket = self.bucket(at)
        if task in bucket:
            return await work
        bucket.enter(task)
        try:
            answer: list[Result] = []
            steps = _steps(work, answer)
            if (waiting := next(steps.__await__(), _END)) is not _END:
                await resumed(None, steps, waiting, bucket, self._leave)
        except BaseException as error:
            if bucket.leave(task):
                raise late() from error
            raise
        if bucket.leave(task):
            raise late()
        return answer[0]

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

    def _open(self, key: int) -> Bucket:
        found = self._buckets.get(key)
        if found is not None:  # it was there, but empty
            return found
        if len(self._buckets) >= self._crowd:
            self._clear()
            self._crowd = max(CROWD, 2 * len(self._buckets))
        bucket = self._buckets[key] = Bucket((key + 1) * GRAIN)
        if key < self._armed:
            self._arm(key)
        return bucket

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
        now = monotonic()
        self._buckets = {key: each for key, each in self._buckets.items() if each or each.kept > now}

    def stop(self) -> None:
        """Watch no longer; calls in flight are left to themselves."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed = None, sys.maxsize
        self._buckets.clear()


def refuse_past(label: str, deadline: float, now: float) -> CallError:
    """The error of a call that begins when its deadline has passed."""
    late = f"the caller's deadline had passed {now - deadline:.3f} s before the call began"
    return CallError(Code.DEADLINE_EXCEEDED, f"{label}: {late}", may_have_happened=False)


def exceeded(label: str, timeout: float, deadline: float, started: float) -> CallError:
    """The error of a call that was cancelled at its deadline; says whose limit it was."""
    if deadline < started + timeout - ON_THE_WAY:
        left = f"the {deadline - started:.3f} s that its caller had left (its own timeout is {timeout:g} s)"
        return CallError(Code.DEADLINE_EXCEEDED, f"{label} did not answer within {left}")
    return CallError(Code.DEADLINE_EXCEEDED, f"{label} did not answer within its timeout of {timeout:g} s")


def silent(label: str, idle: float) -> CallError:
    """The error of a stream that was ended because nothing came any more."""
    return CallError(Code.DEADLINE_EXCEEDED, f"{label} sent nothing for {idle:g} s, its idle limit")


def deadline_middleware(deadlines: Deadlines, operation: Operation, *, prompt: bool = False) -> Middleware:
    """Give each call the earlier of its caller's deadline and the operation's timeout, and cancel it then.

    It stands on both sides of a call. A task that is already watched for the same 10 ms is not watched again, so
    the second one in a process costs little, and a deadline that came by wire is watched because nobody does yet.
    Work that is cancelled then and does not end is left to itself; what is known to be `prompt`, as a client is, always
    ends, and costs less.
    A stream without a timeout of its own has its caller's deadline alone, and an end when it falls silent.
    Where caller and service are in one process, a unary call's answer does this itself (`services/inbound.py`): a layer
    more would cost a tenth of the whole call.
    """
    if operation.stream:
        return lambda handler: _watched_stream(handler, deadlines, operation)
    leave = None if prompt else deadlines.leaver(operation.label)
    return lambda handler: _watched(handler, deadlines, leave, Window(deadlines, operation.label, operation.timeout))


class Window:
    """Finds the buckets of calls that have one timeout; a call that has it to the full costs one comparison.

    `until` is when the deadlines of such calls leave `bucket`. Its errors are `private` where the caller gets them
    straight from here.
    """

    __slots__ = ("_open", "_private", "bucket", "label", "timeout", "until")

    def __init__(self, deadlines: Deadlines, label: str, timeout: float, *, private: bool = False) -> None:
        self._open = deadlines.bucket
        self._private = private
        self.label = label
        self.timeout = timeout
        self.bucket = Bucket(0.0)
        self.until = 0.0

    def limit(self, context: Context, now: float) -> bool:
        """Give a call that begins `now` its deadline; says whether it is the timeout to the full.

        Raises CallError when it is late already.
        """
        inherited, deadline = context.deadline, now + self.timeout
        if inherited is None or inherited >= deadline:
            context.deadline = deadline
            return True
        if inherited <= now:
            raise self._told(refuse_past(self.label, inherited, now))
        return False

    def bucket_of(self, context: Context, now: float) -> Bucket:
        """Give a call that begins `now` its deadline, and find its bucket; raises CallError when it is late already."""
        if not self.limit(context, now):
            return self.bucket_for(context)
        if now >= self.until:
            self.bucket = bucket = self.bucket_for(context)
            self.until = bucket.ends - self.timeout
            bucket.kept = max(bucket.kept, self.until)
        return self.bucket

    def bucket_for(self, context: Context) -> Bucket:
        """The bucket of a call's deadline, which it has been given."""
        assert context.deadline is not None
        return self._open(context.deadline)

    def exceeded(self, context: Context, started: float) -> CallError:
        """The error of a call that was cancelled at its deadline."""
        return self._told(exceeded(self.label, self.timeout, context.deadline or started, started))

    def _told(self, error: CallError) -> CallError:
        error.private = self._private
        return error


def _watched(handler: Handler, deadlines: Deadlines, leave: Leave | None, window: Window) -> Handler:
    loop, timeout = deadlines.loop, window.timeout

    async def watched(call: Call) -> Any:
        now, context = monotonic(), call.context
        if context.deadline is None and now < window.until:
            context.deadline, bucket = now + timeout, window.bucket
        else:
            bucket = window.bucket_of(context, now)
        task: _Task = running_task(loop)
        if task in bucket:
            return await handler(call)
        bucket[task] = task.cancelling()
        try:
            if leave is None:
                reply = await handler(call)
            else:
                answer: list[Any] = []
                steps = _steps(handler(call), answer)
                if (waiting := next(steps.__await__(), _END)) is not _END:  # mostly the first step is all of it
                    await resumed(None, steps, waiting, bucket, leave)
                reply = answer[0]
        except BaseException as error:
            if bucket.leave(task):
                raise window.exceeded(context, now) from error
            raise
        if not bucket.fired and not bucket.around:
            del bucket[task]
        elif bucket.leave(task):  # it comes too late, as it would by wire, where nobody waits for it any more
            raise window.exceeded(context, now)
        return reply

    return watched


async def _steps(work: Awaitable[Result], answer: list[Result]) -> None:
    """Await `work`, and tell its answer beside: an end without a value is told to `next` by no exception."""
    answer.append(await work)


def _watched_stream(handler: Handler, deadlines: Deadlines, operation: Operation) -> Handler:
    label, timeout, idle = operation.label, operation.timeout, operation.idle

    async def watched(call: Call) -> Any:
        started, inherited = monotonic(), call.context.deadline
        if inherited is not None and inherited <= started:
            raise refuse_past(label, inherited, started)
        deadline = min(started + timeout, inf if inherited is None else inherited)
        call.context.deadline = deadline if deadline < inf else None
        stream = WatchedStream(deadlines, deadline, idle, lambda: exceeded(label, timeout, deadline, started), label)
        return await stream.begin(handler(call))

    return watched


class WatchedStream:
    """A stream whose every wait for an item ends after `idle` seconds and at the deadline of the whole.

    The consumer's own work is never cancelled, and its time is no silence of the stream.
    """

    def __init__(
        self, deadlines: Deadlines, deadline: float, idle: float, error: Callable[[], CallError], label: str
    ) -> None:
        self._items: Any = None
        self._deadlines = deadlines
        self._deadline = deadline
        self._idle = idle
        self._error = error
        self._label = label

    async def begin(self, handed: Awaitable[AsyncIterator[Any]]) -> WatchedStream:
        """Take the items from who makes them."""
        self._items = await self._within(handed, monotonic())
        return self

    def __aiter__(self) -> WatchedStream:
        return self

    async def __anext__(self) -> Any:
        now = monotonic()
        if now >= self._deadline:
            await self.aclose()
            raise self._error()
        return await self._within(anext(self._items), now)

    def _within(self, work: Awaitable[Result], now: float) -> Awaitable[Result]:
        silence = now + self._idle
        if silence < self._deadline:
            return self._deadlines.within(silence, work, lambda: silent(self._label, self._idle))
        return self._deadlines.within(self._deadline, work, self._error)

    async def aclose(self) -> None:
        """End the stream early and release what produces it."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()
