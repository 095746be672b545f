"""Calls as figures and as spans of distributed traces, by OpenTelemetry's semantic conventions for RPC.

One layer does both, as each costs a call as much as an await more. A call that is not sampled makes no span at all,
unless it fails or is slow: then its span is made after the fact.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from meristem.context import Unseen
from meristem.errors import CallError, Code, Fault
from meristem.telemetry.metrics import BOUNDS, OK, OperationStats, outcome_of
from meristem.telemetry.streams import EndingStream
from meristem.telemetry.tracer import Tracer, Value, describe

if TYPE_CHECKING:
    from meristem.context import Position
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation

SOONEST: Final = BOUNDS[0]

# the codes that are the service's own failure, as the conventions for gRPC servers list them
FAILURES: Final = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS}
)


def is_failure(error: BaseException) -> bool:
    """Whether an error is the service's failure, not an answer: such a call is recorded even when not sampled."""
    if isinstance(error, CallError):
        return error.code in FAILURES
    return isinstance(error, Exception) and not isinstance(error, Fault)


def observing_middleware(
    stats: OperationStats, tracer: Tracer, operation: Operation, system: str = "meristem"
) -> Middleware:
    """Count each call in `stats`, continue the caller's trace or begin one, and record what is to be seen as a span.

    The span is of the side that the figures are of, and the service is the one that records: the caller's own on the
    client's side. `system` is the value of `rpc.system.name`: "connectrpc" on that wire. A stream is one call that
    lasts until its last item.
    """
    return lambda handler: _Observed(stats, tracer, operation, system).around(handler, stream=operation.stream)


class _Observed:
    """What is known of an operation before any call: its figures, its span's name and attributes."""

    def __init__(self, stats: OperationStats, tracer: Tracer, operation: Operation, system: str) -> None:
        self.stats = stats
        self.tracer = tracer
        self.name = f"{operation.contract}/{operation.name}"
        self.attributes: dict[str, Value] = {"rpc.system.name": system, "rpc.method": self.name}

    def around(self, handler: Handler, *, stream: bool) -> Handler:
        return self._stream(handler) if stream else self._unary(handler)

    def _unary(self, handler: Handler) -> Handler:
        stats, buckets, tracer = self.stats, self.stats.buckets, self.tracer
        clock, allowance, slow = tracer.clock, tracer.allowance, tracer.slow

        async def observed(call: Call) -> Any:
            stats.begun += 1
            context = call.context
            started = clock()
            parent = context.trace
            if parent is not None and not parent.sampled:
                trace: Position = parent
            elif parent is None and started < allowance.opens:  # as `enter` would, without the cost of a call
                trace = context.trace = Unseen()
            else:
                trace = context.trace = tracer.enter(parent, started)
            try:
                reply = await handler(call)
            except BaseException as error:
                self._failed(trace, parent, clock() - started, error)
                raise
            seconds = clock() - started
            stats.seconds += seconds  # what `record` does, without the cost of a call
            buckets[0 if seconds <= SOONEST else bisect_left(BOUNDS, seconds)] += 1
            if trace.sampled:
                self._tell(trace, parent, seconds, None)
            elif seconds >= slow:
                self._tell_late(trace, parent, seconds, None)
            return reply

        return observed

    def _failed(self, trace: Position, parent: Position | None, seconds: float, error: BaseException) -> None:
        self.stats.record(seconds, outcome_of(error))
        if trace.sampled:
            self._tell(trace, parent, seconds, error)
        elif is_failure(error) or (seconds >= self.tracer.slow and isinstance(error, Exception)):
            self._tell_late(trace, parent, seconds, error)

    def _stream(self, handler: Handler) -> Handler:
        async def observed(call: Call) -> Any:
            self.stats.begun += 1
            started = self.tracer.clock()
            parent = call.context.trace
            trace = call.context.trace = self.tracer.enter(parent, started)

            def ended(error: BaseException | None) -> None:
                seconds = self.tracer.clock() - started
                self.stats.record(seconds, OK if error is None else outcome_of(error))
                if trace.sampled:
                    self._tell(trace, parent, seconds, error)
                elif error is not None and is_failure(error):  # a long one isn't slow
                    self._tell_late(trace, parent, seconds, error)

            try:
                return EndingStream(await handler(call), ended)
            except BaseException as error:
                ended(error)
                raise

        return observed

    def _tell_late(self, trace: Position, parent: Position | None, seconds: float, error: BaseException | None) -> None:
        if self.tracer.late():
            # a root's id is already in its logs; another call's span gets one of its own
            self._tell(trace if parent is None else trace.child(), parent, seconds, error)

    def _tell(self, trace: Position, parent: Position | None, seconds: float, error: BaseException | None) -> None:
        parent_id = None if parent is None else parent.span_id
        attributes = self.attributes | outcome(error)
        told = describe(error) if error is not None and is_failure(error) else None
        stats = self.stats
        self.tracer.finish(self.name, stats.side, stats.service, trace.told(), parent_id, seconds, attributes, told)


def outcome(error: BaseException | None) -> dict[str, Value]:
    """The attributes that tell how a call ended."""
    if error is None:
        return {"rpc.response.status_code": "OK"}
    if isinstance(error, Fault):
        return {"rpc.response.status_code": error.code.name, "meristem.fault": type(error).__name__}
    if isinstance(error, CallError):
        return {"rpc.response.status_code": error.code.name, "error.type": error.code.name}
    code = Code.INTERNAL if isinstance(error, Exception) else Code.CANCELED
    return {"rpc.response.status_code": code.name, "error.type": type(error).__name__}
