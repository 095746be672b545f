"""Spans: the sampling decision comes first, and what is sampled is recorded once, when it ends."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec

from meristem.baggage import spanned
from meristem.context import CURRENT, Trace, Unseen
from meristem.errors import keepable
from meristem.redaction import redact
from meristem.telemetry.sampling import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.context import Position

# the clock of deadlines, where it is fine enough: one reading serves both
CLOCK: Final = perf_counter if sys.platform == "win32" else monotonic

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
    attributes: Mapping[str, Value]
    error: str | None = None
    state: str = ""


class SpanSink(Protocol):
    """Takes finished spans; must not block."""

    def __call__(self, span: Span) -> None: ...


class Recent:
    """The last finished spans, for operators and tests; `seen` is how many there have been."""

    def __init__(self, size: int = 2000) -> None:
        self.seen = 0
        self._spans: deque[Span] = deque(maxlen=size)

    def __call__(self, span: Span) -> None:
        self._spans.append(span)
        self.seen += 1

    def after(self, seen: int) -> list[Span]:
        """Of those that came after the first `seen` the ones that are still kept, the oldest first."""
        missing = min(max(self.seen - seen, 0), len(self._spans))
        return list(islice(self._spans, len(self._spans) - missing, None))

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
        clock: Callable[[], float] = CLOCK,
    ) -> None:
        self.sinks = list(sinks)
        self.slow = slow
        self.clock = clock
        self.allowance = Allowance(per_second, clock())
        self._late = Allowance(late_per_second, clock())

    def enter(self, parent: Position | None, now: float) -> Position:
        """The trace of a call that begins `now`; a new one is decided upon here, for all that follows.

        The wish of a foreign client to be sampled counts against the allowance, too. Only a sampled call becomes a
        span of its own.
        """
        if parent is None:
            return Trace.start(sampled=True) if self._samples(now) else Unseen()
        # The beginning of a trace decides for all of it: half a trace helps nobody.
        if not parent.sampled:
            return parent
        if parent.foreign and not self.allowance.take(now):
            # The trace keeps its id, which stands in logs on both sides; the position becomes another one with its flag
            # (W3C Trace Context, section 3.4).
            return msgspec.structs.replace(parent.child(), sampled=False)
        return parent.child()

    def begin(self, now: float) -> Trace:
        """The first span of a new trace, for what has to name it at once."""
        return Trace.start(sampled=self._samples(now))

    def _samples(self, now: float) -> bool:
        allowance = self.allowance
        return now >= allowance.opens and allowance.take(now)

    def finish(
        self,
        name: str,
        kind: Kind,
        service: str,
        trace: Trace,
        parent_id: str | None,
        seconds: float,
        attributes: Mapping[str, Value],
        error: str | None = None,
    ) -> None:
        """Hand a span that took `seconds` and ends now to the sinks."""
        # Back from now, by the duration that a steady clock measured: the time of day may have been set meanwhile.
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
        """Record what just ended after `seconds`: a statement, a delivery; costs nothing in an unsampled trace.

        The span keeps `attributes` as they are: spans of one statement share them.
        """
        context = CURRENT.get()
        parent = context.trace
        if parent is not None and parent.sampled:
            told = {**attributes, **spanned(context.baggage)} if context.baggage else attributes
            self.finish(name, kind, service, parent.child(), parent.span_id, seconds, told, error)

    def late(self) -> bool:
        """Whether one more call may be recorded after the fact."""
        return self._late.take(self.clock())


def describe(error: BaseException) -> str:
    """An error as a span's status tells it."""
    return redact(keepable(f"{type(error).__name__}: {error}"))
