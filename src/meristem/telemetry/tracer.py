"""Spans: the sampling decision comes first, and what is sampled is recorded once, when it ends."""

from __future__ import annotations

import time
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec

from meristem.context import CURRENT, Trace, Unseen
from meristem.errors import Fault
from meristem.telemetry.sampling import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from meristem.context import Context, Position

Kind: TypeAlias = Literal["server", "client", "internal", "producer", "consumer"]
Value: TypeAlias = str | int | float | bool


class Span(msgspec.Struct, frozen=True):
    """A finished piece of work in a trace; `start` in nanoseconds since 1970, `duration` in seconds."""

    name: str
    kind: Kind
    service: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start: int
    duration: float
    attributes: dict[str, Value]
    error: str | None = None
    state: str = ""


class SpanSink(Protocol):
    """Takes finished spans; must not block."""

    def __call__(self, span: Span) -> None: ...


class Recent:
    """The last finished spans, for the dashboard and tests."""

    def __init__(self, size: int = 2000) -> None:
        self._spans: deque[Span] = deque(maxlen=size)

    def __call__(self, span: Span) -> None:
        self._spans.append(span)

    def spans(self) -> list[Span]:
        """Every span still kept, the oldest first."""
        return list(self._spans)

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace in the order of their starts."""
        return sorted((each for each in self._spans if each.trace_id == trace_id), key=lambda span: span.start)


class Tracer:
    """Decides what is recorded and records it.

    `per_second` new traces are sampled; calls that fail, or take longer than `slow` seconds, are recorded besides,
    at most `late_per_second` of them, so that an outage does not drown in its own spans.
    """

    def __init__(
        self,
        *sinks: SpanSink,
        per_second: float = 20.0,
        slow: float = 1.0,
        late_per_second: float = 100.0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.sinks = list(sinks)
        self.slow = slow
        self.clock = clock
        self.allowance = Allowance(per_second, clock())
        self._late = Allowance(late_per_second, clock())

    def enter(self, parent: Position | None, now: float) -> Position:
        """The trace of a call that begins `now`; a new one is decided upon here, for all that follows.

        The wish of somebody outside to be sampled counts against the allowance, too. Only a sampled call becomes a
        span of its own.
        """
        if parent is None:
            return Trace.start(sampled=True) if self.allowance.take(now) else Unseen()
        if not parent.sampled:
            return parent
        if parent.foreign and not self.allowance.take(now):
            return Trace(parent.trace_id, parent.span_id, False, parent.state)
        return parent.child()

    def finish(
        self,
        name: str,
        kind: Kind,
        service: str,
        trace: Trace,
        parent_id: str | None,
        seconds: float,
        attributes: dict[str, Value],
        error: str | None = None,
    ) -> None:
        """Hand a span that took `seconds` and ends now to the sinks."""
        start = time.time_ns() - int(seconds * 1e9)
        span = Span(
            name,
            kind,
            service,
            trace.trace_id,
            trace.span_id,
            parent_id,
            start,
            seconds,
            attributes,
            error,
            trace.state,
        )
        for sink in self.sinks:
            sink(span)

    def fact(
        self,
        name: str,
        kind: Kind,
        service: str,
        seconds: float,
        attributes: Mapping[str, Value],
        error: str | None = None,
    ) -> None:
        """Record what just ended after `seconds`: a statement, a delivery; costs nothing in an unsampled trace."""
        parent = CURRENT.get().trace
        if parent is not None and parent.sampled:
            self.finish(name, kind, service, parent.child(), parent.span_id, seconds, dict(attributes), error)

    def span(
        self, name: str, attributes: Mapping[str, Value] | None = None, *, kind: Kind = "internal", service: str = ""
    ) -> ActiveSpan | NoSpan:
        """A block of work as a span of the running trace: `with tracer.span("render") as span:`."""
        context = CURRENT.get()
        if context.trace is None or not context.trace.sampled:
            return NO_SPAN
        place = context.place.service if context.place is not None else ""
        return ActiveSpan(self, (name, kind, service or place), context, context.trace.ids(), dict(attributes or {}))

    def late(self) -> bool:
        """Whether one more call may be recorded after the fact."""
        return self._late.take(self.clock())


class NoSpan:
    """The span of work that nobody records."""

    def __enter__(self) -> NoSpan:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, name: str, value: Value) -> None:
        """Does nothing."""


NO_SPAN: Final = NoSpan()


class ActiveSpan:
    """A block of work that is recorded when it ends; calls made inside are its children."""

    def __init__(
        self, tracer: Tracer, what: tuple[str, Kind, str], context: Context, parent: Trace, attributes: dict[str, Value]
    ) -> None:
        self._tracer = tracer
        self._what = what
        self._parent = parent
        self._attributes = attributes
        self._trace = parent.child()
        self._context = msgspec.structs.replace(context, trace=self._trace)
        self._tokens: list[Token[Context]] = []
        self._started = 0.0

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""
        self._attributes[name] = value

    def __enter__(self) -> ActiveSpan:
        self._tokens.append(CURRENT.set(self._context))
        self._started = self._tracer.clock()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        CURRENT.reset(self._tokens.pop())
        told = None if error is None or isinstance(error, Fault) else describe(error)
        seconds = self._tracer.clock() - self._started
        self._tracer.finish(*self._what, self._trace, self._parent.span_id, seconds, self._attributes, told)


def describe(error: BaseException) -> str:
    """An error as a span's status tells it."""
    return f"{type(error).__name__}: {error}"
