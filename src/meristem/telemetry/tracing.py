"""Calls as spans of distributed traces, with the attributes of OpenTelemetry's semantic conventions for RPC.

A call that is not sampled makes no span at all, unless it fails or is slow: then its span is made after the fact.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from meristem.errors import CallError, Code, Fault
from meristem.telemetry.streams import EndingStream
from meristem.telemetry.tracer import Kind, Tracer, Value, describe

if TYPE_CHECKING:
    from meristem.context import Trace
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation

# the codes that are the service's own failure, as the conventions for gRPC servers list them
FAILURES: Final = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS}
)


def is_failure(error: BaseException) -> bool:
    """Whether an error is the service's failure, not an answer: such a call is recorded even when not sampled."""
    if isinstance(error, CallError):
        return error.code in FAILURES
    return isinstance(error, Exception) and not isinstance(error, Fault)


def trace_middleware(
    tracer: Tracer, kind: Literal["server", "client"], operation: Operation, service: str, system: str = "meristem"
) -> Middleware:
    """Continue the caller's trace, or begin one, and record the call as a span of `kind` when it is to be seen.

    `service` is the one that records: the caller's own name on the client's side. `system` is the value of
    `rpc.system.name`: "connectrpc" on that wire.
    """
    return lambda handler: _Traced(tracer, kind, operation, service, system, handler).handler


class _Traced:
    """What is known of an operation before any call: its span's name and attributes."""

    def __init__(
        self, tracer: Tracer, kind: Kind, operation: Operation, service: str, system: str, handler: Handler
    ) -> None:
        self.tracer = tracer
        self.kind = kind
        self.service = service
        self.name = f"{operation.contract}/{operation.name}"
        self.attributes: dict[str, Value] = {"rpc.system.name": system, "rpc.method": self.name}
        self.inner = handler
        self.handler: Handler = self._stream() if operation.stream else self._unary()

    def _unary(self) -> Handler:
        handler, tracer = self.inner, self.tracer
        slow = tracer.slow

        async def traced(call: Call) -> Any:
            trace = call.context.trace
            if trace is not None and trace.sampled:
                if trace.foreign:
                    trace = tracer.admitted(trace)
                if trace.sampled:
                    return await self._sampled(call, trace)
            parent_id = None if trace is None else trace.span_id
            if trace is None:
                trace = call.context.trace = tracer.root()
                if trace.sampled:
                    return await self._recorded(call, trace, None)
            started = monotonic()
            try:
                reply = await handler(call)
            except Exception as error:
                if is_failure(error) or monotonic() - started >= slow:
                    self._afterwards(trace, parent_id, started, error)
                raise
            if monotonic() - started >= slow:
                self._afterwards(trace, parent_id, started, None)
            return reply

        return traced

    async def _sampled(self, call: Call, parent: Trace) -> Any:
        call.context.trace = trace = self.tracer.ids.child(parent)
        return await self._recorded(call, trace, parent.span_id)

    async def _recorded(self, call: Call, trace: Trace, parent_id: str | None) -> Any:
        started = monotonic()
        try:
            reply = await self.inner(call)
        except BaseException as error:
            self.end(trace, parent_id, started, error)
            raise
        self.end(trace, parent_id, started, None)
        return reply

    def _afterwards(self, trace: Trace, parent_id: str | None, started: float, error: BaseException | None) -> None:
        if self.tracer.late():
            # a root's id is already in its logs; another call's span gets one of its own
            own = trace if parent_id is None else self.tracer.ids.child(trace)
            self.end(own, parent_id, started, error)

    def end(self, trace: Trace, parent_id: str | None, started: float, error: BaseException | None) -> None:
        """Record the call's span."""
        attributes = self.attributes | outcome(error)
        told = describe(error) if error is not None and is_failure(error) else None
        self.tracer.finish(self.name, self.kind, self.service, trace, parent_id, started, attributes, told)

    def _stream(self) -> Handler:
        async def traced(call: Call) -> Any:
            parent = call.context.trace
            if parent is not None and parent.foreign:
                parent = self.tracer.admitted(parent)
            trace = self.tracer.root() if parent is None else self.tracer.ids.child(parent)
            call.context.trace = trace
            parent_id = None if parent is None else parent.span_id
            started = monotonic()

            def ended(error: BaseException | None) -> None:
                seen = trace.sampled or (error is not None and is_failure(error) and self.tracer.late())
                if seen:
                    self.end(trace, parent_id, started, error)

            try:
                return EndingStream(await self.inner(call), ended)
            except BaseException as error:
                ended(error)
                raise

        return traced


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
