"""The service's end of a call: runs the method within its context, observes it, lets only declared answers out."""

from __future__ import annotations

from bisect import bisect_left
from contextvars import Context as Variables
from contextvars import copy_context
from functools import partial
from inspect import iscoroutinefunction
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from meristem.context import CURRENT, Place, Unseen
from meristem.contracts.call import compose
from meristem.contracts.isolation import Isolation
from meristem.contracts.items import TakenItems
from meristem.contracts.operation import Semantics
from meristem.errors import CallError
from meristem.resilience.deadline import TimeLimit
from meristem.resilience.timers import running_task
from meristem.services.admission import admission
from meristem.services.inbound_streams import answer_lasting
from meristem.services.permitted import permitted
from meristem.telemetry.metrics import BOUNDS
from meristem.variables import END, resumed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from meristem.context import Position
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.resilience.timers import Deadlines
    from meristem.telemetry.observing import Observed

SOONEST: Final = BOUNDS[0]


def taking_request(operation: Operation, method: Callable[..., Any]) -> Callable[[Any], Any]:
    """The method as one that takes the request message, or the items of one, whatever its parameters are."""
    named = [each.name for each in operation.parameters if each.named]
    if operation.takes_stream:
        return lambda items: _call_by_name(method, (TakenItems(operation, items),), 1 - len(named), named)
    count = len(operation.parameters) - len(named)
    if operation.spread and named:
        return lambda request: _call_by_name(method, msgspec.structs.astuple(request), count, named)
    if operation.spread:
        return lambda request: method(*msgspec.structs.astuple(request))
    return (lambda request: _call_by_name(method, (request,), 0, named)) if named else method


def _call_by_name(method: Callable[..., Any], values: tuple[Any, ...], count: int, named: list[str]) -> Any:
    """Call with the first `count` values by position and the others, which stand behind `*`, by name."""
    return method(*values[:count], **dict(zip(named, values[count:], strict=True)))


class Nearby(NamedTuple):
    """What stands between caller and service in one process: a deadline, and the separation of their values."""

    deadlines: Deadlines
    isolation: Isolation


class OperationEndpoint:
    """An operation as its service answers it, with `around` it and within the call's context; counted and traced.

    `handler` answers callers elsewhere, whose deadline is watched in front of it; `nearby` makes a handler for callers
    in this process. The method sees no context variable of theirs, nor they what it sets. Faults that the contract
    declares and CallErrors pass. Whatever else is raised is logged here, where it happened, and reaches the caller as
    `internal` without a traceback. `system` is the one for which the idempotency keys from outside count.
    """

    def __init__(
        self,
        operation: Operation,
        method: Callable[..., Any],
        observed: Observed,
        around: Iterable[Middleware] = (),
        *,
        system: str,
    ) -> None:
        self.operation = operation
        self.observed = observed
        self.place = Place(observed.stats.service, operation.label, operation.max_staleness)
        self.enter = admission(operation, self.place, system)
        self.take, around = taking_request(operation, method), tuple(around)
        self.is_coroutine = iscoroutinefunction(method)
        self.variables = copy_context()  # as a process of its own would begin: nothing of any caller
        self.surrounded: Handler | None = None
        if operation.lasts:
            self.handler = observed.stream(answer_lasting(operation, self.take, around, self.variables, self.enter))
            return
        if around:
            self.surrounded = compose(lambda call: self.take(call.request), around)
        self.handler = _answering(self, None)

    def nearby(self, nearby: Nearby) -> Handler:
        """A handler of a unary operation for callers in this process."""
        return _answering(self, nearby)


def _answering(endpoint: OperationEndpoint, nearby: Nearby | None) -> Handler:  # noqa: C901, PLR0915 - as the next lines say
    """All that is done around a unary method, in one function: each layer more costs as much as an await.

    What `observing_middleware` and `deadline_middleware` do stands here once more, without their calls.
    """
    operation, observed, place = endpoint.operation, endpoint.observed, endpoint.place
    take, surrounded, timeout = endpoint.take, endpoint.surrounded, operation.timeout
    enter, checked = endpoint.enter, operation.authenticated or operation.semantics is Semantics.ONCE
    stats, buckets, tracer = observed.stats, observed.stats.buckets, observed.tracer
    clock, allowance, slow = tracer.clock, tracer.allowance, tracer.slow
    begin, one_clock = CURRENT.set, tracer.clock is monotonic
    limit, deadlines, (admit, separate) = _between(operation, nearby)
    leave = None if deadlines is None else deadlines.leaver(operation.label)
    clean, run = endpoint.variables, Variables.run
    work = surrounded or take
    if surrounded is not None or not endpoint.is_coroutine:
        work = partial(_begun, work)

    async def answered(call: Call) -> Any:  # noqa: C901, PLR0912, PLR0915
        context, started, task = call.context, clock(), None
        if limit is not None:
            now = started if one_clock else monotonic()
            if context.deadline is None:
                deadline = context.deadline = now + timeout
            else:
                deadline = limit.give(context, now)
            call.request = admit(call.request)
        stats.begun += 1
        parent = context.trace
        # No allowance for a new trace now: a position without ids, which are drawn only if somebody reads them.
        if parent is None and started < allowance.opens:
            trace: Position = Unseen()
            context.trace = trace
        elif parent is None or parent.sampled:
            trace = context.trace = tracer.enter(parent, started)
        else:
            trace = parent
        variables = before = None
        try:
            if checked or context.key is not None:
                enter(call)
            else:
                context.place = place
            if deadlines is None:
                before = CURRENT.get()
                begin(context)
                reply = await (take(call.request) if surrounded is None else surrounded(call))
            else:
                variables = clean.copy()
                steps = _steps(call, work, call if surrounded else call.request)
                if (waiting := run(variables, next, steps, END)) is not END:  # mostly the first step is all of it
                    # Watched from here on: what ends in its first step gives no deadline the time to come.
                    bucket, task = deadlines.bucket(deadline), running_task(deadlines.loop)
                    bucket.enter(task)
                    await resumed(variables, steps, waiting, bucket, leave)
                reply = call.reply
        except BaseException as error:
            failure = permitted(operation, error) if variables is None else variables.run(permitted, operation, error)
            late = task is not None and bucket.leave(task)
        else:
            # It comes too late, as it would by wire, where nobody waits for it any more.
            if task is not None and bucket.leave(task) and limit is not None:
                failure = limit.exceeded(context, now)
                observed.end(context, trace, parent, clock() - started, failure)
                raise failure
            seconds = clock() - started
            stats.seconds += seconds
            buckets[0 if seconds <= SOONEST else bisect_left(BOUNDS, seconds)] += 1
            if trace.sampled:
                observed.emit(context, trace, parent, seconds, None)
            elif seconds >= slow:
                observed.emit_late(context, trace, parent, seconds, None)
            return reply if limit is None else separate(reply)
        finally:
            if before is not None:  # not by a token: what is left to itself goes on in a task of its own
                begin(before)
        observed.end(context, trace, parent, clock() - started, failure)
        if limit is not None:
            if late:
                raise limit.exceeded(context, now) from failure
            if isinstance(failure, CallError):
                failure.private = True  # it has reached the caller for which its text was
        raise failure  # here, so that it drags no other error along: after a wire it would not either

    return answered


def _between(operation: Operation, nearby: Nearby | None) -> tuple[TimeLimit | None, Deadlines | None, Isolation]:
    """What a near caller's call has of its own: a limit of time, who watches it, and the separation of its values."""
    if nearby is None:
        return None, None, Isolation(_as_it_is, _as_it_is)
    limit = TimeLimit(operation.label, operation.timeout, private=True)
    return limit, nearby.deadlines, nearby.isolation


@coroutine
def _steps(call: Call, work: Callable[[Any], Any], given: Any) -> Generator[Any, Any, None]:
    """The steps of a method, which leave its reply with the call; to be run in variables of its own.

    The reply isn't returned: the end of a generator without a value is told to `next` by no exception, which would
    cost as much as four awaits.
    """
    CURRENT.set(call.context)
    call.reply = yield from work(given)


async def _begun(work: Callable[[Any], Any], given: Any) -> Any:
    """What may do something before it can be awaited, as a coroutine."""
    return await work(given)


def _as_it_is(value: Any) -> Any:
    return value
