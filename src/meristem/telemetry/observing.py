"""Calls as figures and as spans of distributed traces, by OpenTelemetry's semantic conventions for RPC.

One layer does both, as each costs a call as much as an await more. A call that is not sampled makes no span at all,
unless it fails or is slow: then its span is made after the fact.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from meristem.baggage import spanned
from meristem.errors import CallError, Code, Fault
from meristem.telemetry.metrics import OK, OperationStats, outcome_of
from meristem.telemetry.streams import EndingStream
from meristem.telemetry.tracer import Kind, Tracer, Value, describe

if TYPE_CHECKING:
    from meristem.context import Context, Position
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation

# the codes that are the service's own failure, as the conventions for gRPC servers list them
FAILURES: Final = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS}
)


USER: Final = "user.id"
"""OpenTelemetry's name of the stable id of who a call is made for."""

WIRE: Final[ContextVar[str | None]] = ContextVar("meristem.wire", default=None)
"""OpenTelemetry's name of the wire by which the call came that this process answers, where it is not the usual one."""


def is_failure(error: BaseException | None) -> bool:
    """Whether a call failed for the service's part, and not with an answer: it is recorded even when not sampled."""
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
    observed = Observed(stats, tracer, operation, system)
    return observed.stream if operation.lasts else observed.unary


class Observed:
    """What is known of an operation before any call, and what becomes known of each call."""

    def __init__(self, stats: OperationStats, tracer: Tracer, operation: Operation, system: str = "meristem") -> None:
        self.stats = stats
        self.tracer = tracer
        self.operation = operation
        self.name = f"{operation.contract}/{operation.name}"
        self.attributes: dict[str, Value] = {"rpc.system.name": system, "rpc.method": self.name}

    def unary(self, handler: Handler) -> Handler:
        """A layer that observes each call of `handler`."""
        stats, tracer = self.stats, self.tracer
        clock, enter, record = tracer.clock, tracer.enter, stats.record

        async def observed(call: Call) -> Any:
            context, started = call.context, clock()
            parent = context.trace
            stats.begun += 1
            trace = context.trace = enter(parent, started)
            try:
                reply = await handler(call)
            except BaseException as error:
                self.end(context, trace, parent, clock() - started, error)
                raise
            seconds = clock() - started
            if trace.sampled or seconds >= tracer.slow:
                self.end(context, trace, parent, seconds)
            else:  # nearly every call: counted, and nothing else
                record(seconds)
            return reply

        return observed

    def stream(self, handler: Handler) -> Handler:
        """A layer that observes each call of `handler` until the reply, or the last of a stream."""
        clock, replies = self.tracer.clock, self.operation.stream

        async def observed(call: Call) -> Any:
            context, started = call.context, clock()
            parent = context.trace
            trace = context.trace = self.begin(parent, started)

            def ended(error: BaseException | None) -> None:
                self.end(context, trace, parent, clock() - started, error, long=True)

            try:
                reply = await handler(call)
            except BaseException as error:
                ended(error)
                raise
            if replies:
                return EndingStream(reply, ended)
            ended(None)
            return reply

        return observed

    def begin(self, parent: Position | None, started: float) -> Position:
        """Count a call that begins; gives its position in the trace."""
        self.stats.begun += 1
        return self.tracer.enter(parent, started)

    def end(
        self,
        context: Context,
        trace: Position,
        parent: Position | None,
        seconds: float,
        error: BaseException | None = None,
        *,
        long: bool = False,
    ) -> None:
        """Count a call that ended, and record it if it is to be seen; one that may be `long` is never slow."""
        self.stats.record(seconds, OK if error is None else outcome_of(error))
        # A call that was cancelled was given up by its caller, which says nothing of how slow this service is.
        is_slow = seconds >= self.tracer.slow and not long and (error is None or isinstance(error, Exception))
        if trace.sampled:
            self.emit(context, trace, parent, seconds, error)
        elif is_slow or is_failure(error):
            self.emit_late(context, trace, parent, seconds, error)

    def emit_late(
        self,
        context: Context,
        trace: Position,
        parent: Position | None,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Record a call that was not sampled as a span, if such spans are not too many."""
        if self.tracer.late():
            # a root's id is already in its logs; another call's span gets one of its own
            self.emit(context, trace if parent is None else trace.child(), parent, seconds, error)

    def emit(
        self,
        context: Context,
        trace: Position,
        parent: Position | None,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Record a call as a span, with the values of its `context` that travel."""
        parent_id = None if parent is None else parent.span_id
        attributes = self.attributes | outcome(error)
        if self.stats.side == "server":
            if (wire := WIRE.get()) is not None:
                attributes["rpc.system.name"] = wire
            if context.user is not None:
                attributes[USER] = context.user.subject
        if context.baggage:
            attributes |= spanned(context.baggage)
        told = describe(error) if error is not None and is_failure(error) else None
        stats = self.stats
        side: Kind = "server" if stats.side == "server" else "client"
        self.tracer.finish(self.name, side, stats.service, trace.ids(), parent_id, seconds, attributes, told)


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
