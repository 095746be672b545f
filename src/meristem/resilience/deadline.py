"""Deadlines: each call has the earlier of its caller's and its operation's, and is cancelled then."""

from __future__ import annotations

from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from meristem.contracts.items import Items
from meristem.errors import CallError, Code
from meristem.resilience.timers import running_task
from meristem.variables import END, resumed, told_beside

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import AsyncIterator, Awaitable, Callable

    from meristem.context import Context
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.resilience.timers import Deadlines
    from meristem.variables import Leave

ON_THE_WAY: Final = 0.05  # seconds: a caller that gave the whole timeout began to count a little earlier

Result = TypeVar("Result")


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


def unfed(label: str, idle: float) -> CallError:
    """The error of a call that was ended because its caller sent no further item."""
    return CallError(Code.DEADLINE_EXCEEDED, f"{label} was sent nothing for {idle:g} s, its idle limit")


def deadline_middleware(
    deadlines: Deadlines, operation: Operation, *, prompt: bool = False, private: bool = False
) -> Middleware:
    """Give each call the earlier of its caller's deadline and the operation's timeout, and cancel it then.

    It stands on both sides of a call. Work is watched from its first wait on, and left to itself where it is cancelled
    then and does not end. What is known to be `prompt`, as a client is, always waits and always ends: it is watched at
    once, but not again in a task that is already watched for the same 10 ms.
    Where its caller has the errors straight they are `private`, whoever raised them.
    A stream without a timeout of its own has its caller's deadline alone, and an end when it falls silent. The items of
    a caller are waited for by its callee: where the work is `prompt`, that is elsewhere.
    Where caller and service are in one process, a unary call's answer does this itself (`services/inbound.py`): a layer
    more would cost a tenth of the whole call.
    """
    if operation.lasts:
        return lambda handler: _watched_stream(handler, deadlines, operation, prompt=prompt)
    limit = TimeLimit(operation.label, operation.timeout, private=private)
    if prompt:
        return lambda handler: _prompt(handler, deadlines, limit)
    leave = deadlines.leaver(operation.label)
    return lambda handler: _watched(handler, deadlines, leave, limit)


class TimeLimit:
    """How long the calls of one operation may take; its errors are `private` where the caller gets them straight."""

    __slots__ = ("_label", "_private", "_timeout")

    def __init__(self, label: str, timeout: float, *, private: bool = False) -> None:
        self._label = label
        self._timeout = timeout
        self._private = private

    def give(self, context: Context, now: float) -> float:
        """Give a call that begins `now` its deadline; raises CallError when it is late already."""
        inherited, deadline = context.deadline, now + self._timeout
        if inherited is None or inherited > deadline:
            context.deadline = deadline
            return deadline
        if inherited <= now:
            raise self._told(refuse_past(self._label, inherited, now))
        return inherited

    def exceeded(self, context: Context, started: float) -> CallError:
        """The error of a call that was cancelled at its deadline."""
        return self._told(exceeded(self._label, self._timeout, context.deadline or started, started))

    def _told(self, error: CallError) -> CallError:
        error.private = self._private
        return error

    def passes(self, error: BaseException) -> None:
        """An error of the call itself goes on to the caller."""
        if self._private and isinstance(error, CallError):
            error.private = True


def _prompt(handler: Handler, deadlines: Deadlines, limit: TimeLimit) -> Handler:
    loop = deadlines.loop

    async def watched(call: Call) -> Any:
        now, context = monotonic(), call.context
        bucket = deadlines.bucket(limit.give(context, now))
        task: Task[Any] = running_task(loop)
        if task in bucket:
            try:
                return await handler(call)
            except BaseException as error:
                limit.passes(error)
                raise
        bucket[task] = task.cancelling()
        try:
            reply = await handler(call)
        except BaseException as error:
            if bucket.leave(task):
                raise limit.exceeded(context, now) from error
            limit.passes(error)
            raise
        if bucket.leave(task):  # it comes too late, as it would by wire, where nobody waits for it any more
            raise limit.exceeded(context, now)
        return reply

    return watched


def _watched(handler: Handler, deadlines: Deadlines, leave: Leave, limit: TimeLimit) -> Handler:
    async def watched(call: Call) -> Any:
        now, context = monotonic(), call.context
        reply: list[Any] = []
        deadline = limit.give(context, now)
        steps = told_beside(handler(call), reply)
        if (waiting := next(steps.__await__(), END)) is END:
            return reply[0]  # mostly the first step is all of it, and gives no deadline the time to come
        bucket, task = deadlines.bucket(deadline), running_task(deadlines.loop)
        bucket.enter(task)
        try:
            await resumed(None, steps, waiting, bucket, leave)
        except BaseException as error:
            if bucket.leave(task):
                raise limit.exceeded(context, now) from error
            raise
        if bucket.leave(task):
            raise limit.exceeded(context, now)
        return reply[0]

    return watched


def _watched_stream(handler: Handler, deadlines: Deadlines, operation: Operation, *, prompt: bool) -> Handler:
    label, timeout, idle = operation.label, operation.timeout, operation.idle
    is_fed = operation.takes_stream and not prompt

    async def watched(call: Call) -> Any:
        started, inherited = monotonic(), call.context.deadline
        if inherited is not None and inherited <= started:
            raise refuse_past(label, inherited, started)
        deadline = min(started + timeout, inf if inherited is None else inherited)
        call.context.deadline = deadline if deadline < inf else None
        if is_fed:
            call.request = WatchedItems(call.request, deadlines, idle, label)
        late = partial(exceeded, label, timeout, deadline, started)
        stream = WatchedStream(deadlines, deadline, idle, late, label, prompt=prompt)
        return await (stream.begin(handler(call)) if operation.stream else stream.whole(handler(call)))

    return watched


class WatchedItems(Items):
    """The items of a request, each of which is waited for `idle` seconds at most; between them the callee has time."""

    def __init__(self, items: Items, deadlines: Deadlines, idle: float, label: str) -> None:
        super().__init__(items)
        self._deadlines = deadlines
        self._idle = idle
        self._label = label

    async def take(self) -> Any:
        late = partial(unfed, self._label, self._idle)
        return await self._deadlines.within(monotonic() + self._idle, anext(self._items), late)


class WatchedStream:
    """A stream whose every wait for an item ends after `idle` seconds and at the deadline of the whole.

    The consumer's own work is never cancelled, and its time is no silence of the stream.
    """

    def __init__(
        self,
        deadlines: Deadlines,
        deadline: float,
        idle: float,
        error: Callable[[], CallError],
        label: str,
        *,
        prompt: bool = False,
    ) -> None:
        self._items: Any = None
        self._prompt = prompt
        self._deadlines = deadlines
        self._deadline = deadline
        self._idle = idle
        self._error = error
        self._label = label

    async def begin(self, handed: Awaitable[AsyncIterator[Any]]) -> WatchedStream:
        """Take the items from who makes them."""
        self._items = await self._within(handed, monotonic())
        return self

    async def whole(self, work: Awaitable[Result]) -> Result:
        """The one answer to a stream of items, which has until the deadline of the whole."""
        if self._deadline == inf:
            return await work
        return await self._deadlines.within(self._deadline, work, self._error, prompt=self._prompt)

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
            return self._deadlines.within(silence, work, partial(silent, self._label, self._idle), prompt=self._prompt)
        return self._deadlines.within(self._deadline, work, self._error, prompt=self._prompt)

    async def aclose(self) -> None:
        """End the stream early and release what produces it."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()
