"""Answers for a process what operators want to know of it: its new spans, its counts, what it uses."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from meristem.operators.inspection import CallsMade, OperationCounts, ProcessDigest
from meristem.operators.load_views import ServiceLoad
from meristem.operators.operator_contract import SpanView
from meristem.system.process_memory import memory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.operators.inspection import RouteCounts
    from meristem.resilience.limiter import Limiter
    from meristem.runtime.loop_watch import LoopLag
    from meristem.runtime.telemetry import ProcessTelemetry
    from meristem.telemetry.metrics import Snapshot
    from meristem.telemetry.tracer import Span


class ProcessInspector:
    """Tells of one replica of a process; answers `Inspector`."""

    def __init__(
        self,
        telemetry: ProcessTelemetry,
        process: str,
        replica: int,
        limiters: Mapping[str, Limiter],
        loop_lag: LoopLag,
        routes: Callable[[], list[RouteCounts]] = list,
    ) -> None:
        self._routes = routes
        self._loop_lag = loop_lag
        self._telemetry = telemetry
        self._limiters = limiters
        self._process = process
        self._replica = replica
        self._life = uuid4().hex

    async def digest(self, life: str, seen: int) -> ProcessDigest:
        recent, registry = self._telemetry.recent, self._telemetry.registry
        known = seen if life == self._life else 0
        spans = recent.after(known)
        return ProcessDigest(
            life=self._life,
            seen=recent.seen,
            lost=max(recent.seen - known, 0) - len(spans),
            spans=[self._span(each) for each in spans],
            operations=[_counts(each) for each in registry.snapshots() if each.total or each.in_flight],
            made=[
                CallsMade(caller=each.caller, service=each.service, operation=each.operation, calls=each.calls)
                for each in registry.made()
                if each.calls
            ],
            cpu=time.process_time(),
            memory=await asyncio.to_thread(memory_of, os.getpid()),  # without /proc it asks another program
            loop_lag=self._loop_lag.worst,
            loads=[_load(name, each) for name, each in self._limiters.items()],
            routes=self._routes(),
        )

    def _span(self, span: Span) -> SpanView:
        return SpanView(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_id=span.parent_id or "",
            name=span.name,
            kind=span.kind,
            service=span.service,
            process=self._process,
            replica=self._replica,
            start=span.start / 1e9,
            duration=span.duration,
            error=span.error or "",
            attributes={name: str(value) for name, value in span.attributes.items()},
        )


def _load(service: str, limiter: Limiter) -> ServiceLoad:
    gate = limiter.gate
    return ServiceLoad(service=service, limit=gate.limit, inside=gate.inside, waiting=gate.waiting, shed=limiter.shed)


def _counts(found: Snapshot) -> OperationCounts:
    return OperationCounts(
        side=found.side,
        service=found.service,
        operation=found.operation,
        calls=found.total,
        failed=found.failed,
        in_flight=found.in_flight,
        buckets=list(found.buckets),
    )
