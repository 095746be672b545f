"""Systems that were never run: what operators would see of them, drawn by dice that fall alike each time."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from meristem.operators.operator_contract import (
    DurationCount,
    ErrorView,
    FigurePoint,
    Figures,
    LogView,
    OperationView,
    PartSettings,
    ProcessView,
    SpanView,
    SystemMap,
)
from meristem.telemetry.metrics import BOUNDS

LONG = (
    "the bank answered 503 Service Unavailable to POST /charges after 3 attempts in 4.2 s: "
    "upstream connect error or disconnect/reset before headers. reset reason: connection timeout"
)
TRACEBACK = """Traceback (most recent call last):
  File "/srv/hotels/payments/service.py", line 88, in charge
    answer = await self.bank.charge(card, amount, key=key)
  File "/srv/hotels/payments/bank.py", line 41, in charge
    raise BankUnavailable(f"the bank answered {status}")
hotels.payments.bank.BankUnavailable: the bank answered 503"""


Made = TypeVar("Made")


def made(kind: type[Made], *values: Any, **named: Any) -> Made:
    """A message by the order of its fields."""
    return kind(**dict(zip(kind.__struct_fields__, values, strict=False)), **named)


@dataclass
class Part:
    """A service: the operations that it has, where it runs, whom each operation calls, and how often one fails."""

    name: str
    process: str
    operations: dict[str, list[str]]
    database: str = "sqlite"
    typical: float = 0.004
    failing: float = 0.002
    events: list[str] = field(default_factory=list)
    replicas: int = 1
    rate: float = 4.0


@dataclass
class Invented:
    """All that the contract tells of a system, as lists."""

    system: SystemMap
    processes: list[ProcessView]
    operations: list[OperationView]
    spans: list[SpanView] = field(default_factory=list)
    logs: list[LogView] = field(default_factory=list)
    errors: list[ErrorView] = field(default_factory=list)
    settings: list[PartSettings] = field(default_factory=list)


class Inventor:
    """Makes traces, logs and figures of parts; `now` is when the last of them ended."""

    def __init__(self, parts: list[Part], now: float, seed: int = 7) -> None:
        self.parts = {each.name: each for each in parts}
        self.now = now
        self.dice = random.Random(seed)
        self.errors: dict[tuple[str, str], ErrorView] = {}
        self.log_id = 0

    def identity(self, digits: int) -> str:
        return f"{self.dice.getrandbits(digits * 4):0{digits}x}"

    def figures(self, rate: float, failing: float, typical: float) -> Figures:
        near = rate * self.dice.uniform(0.8, 1.2)
        p50 = typical * self.dice.uniform(0.8, 1.3)
        failed = failing * self.dice.uniform(0.5, 2) if self.dice.random() < 0.6 else 0.0
        flying = int(near * p50 * self.dice.uniform(0, 3))
        return made(Figures, 60.0, near, failed, p50, p50 * self.dice.uniform(3, 30), flying)

    def history(self, rate: float, failing: float, typical: float, minutes: int) -> list[FigurePoint]:
        step = minutes * 60 / 120
        end = self.now - self.now % step
        return [
            made(
                FigurePoint,
                end - (119 - each) * step,
                self.figures(rate * (1 + (each % 40) / 60), failing, typical),
                self.durations(rate * step, typical),
            )
            for each in range(120)
        ]

    def durations(self, calls: float, typical: float) -> list[DurationCount]:
        """Most take about what is typical; some a second and more."""
        found = Counter(bisect_left(BOUNDS, typical * self.dice.lognormvariate(0, 1.1)) for _ in range(60))
        edges = [0.0, *BOUNDS, None]
        return [
            made(DurationCount, edges[at], edges[at + 1], max(1, int(many * calls / 60))) for at, many in found.items()
        ]

    def trace(self, start: float, entry: str, operation: str) -> tuple[list[SpanView], list[LogView]]:
        """One visit: HTTP at the edge, calls below it, statements, steps of a saga, events."""
        spans: list[SpanView] = []
        logs: list[LogView] = []
        self._call(self.identity(32), "", entry, operation, start, spans, logs, depth=0)
        if self.dice.random() < 0.7:
            user = {"user.id": f"user-{self.dice.randrange(90)}"}
            spans = [
                replace(each, attributes=each.attributes | user) if each.kind == "server" else each for each in spans
            ]
        return sorted(spans, key=lambda each: each.start), logs

    def _call(
        self, trace: str, parent: str, service: str, operation: str, start: float, spans: list, logs: list, depth: int
    ) -> tuple[float, str]:
        part, own = self.parts[service], self.identity(16)
        at, error = start + self.dice.expovariate(1 / (part.typical / 6)), ""
        if part.database:
            for _ in range(self.dice.choice((1, 1, 2, 4))):
                at += self._statement(trace, own, part, at, spans)
        for called in part.operations.get(operation, ()) if depth < 6 else ():
            target, _, name = called.partition(".")
            taken, wrong = self._call(trace, own, target, name, at + 0.0002, spans, logs, depth + 1)
            at += taken + 0.0003
            error = error or (wrong and f"Unavailable: {target} failed")
        at += self.dice.expovariate(1 / (part.typical / 2))
        if not error and self.dice.random() < part.failing:
            error = LONG if service == "payments" else f"Conflict: {operation} was refused"
        attributes = {"rpc.method": f"{service}.{operation}", "rpc.system.name": "connectrpc"}
        attributes["rpc.response.status_code"] = "UNAVAILABLE" if error else "OK"
        name, kind = f"{service}.{operation}", "server"
        if not parent:
            name = f"{'GET' if operation in ('search', 'home', 'bookings') else 'POST'} /{operation}"
            attributes = {"http.request.method": name.split()[0], "url.path": f"/{operation}", "url.scheme": "https"}
            attributes["http.response.status_code"] = "503" if error else "200"
        told = part.events if operation in part.operations and not error else []
        spans.extend(
            self._span(
                trace, own, f"publish {event}", "producer", part, at, 4e-4, {"messaging.destination.name": event}
            )
            for event in told
        )
        spans.append(self._span(trace, parent, name, kind, part, start, at - start, attributes, error, own))
        self._tell(trace, own, part, operation, at, error, logs)
        return at - start, error

    def _statement(self, trace: str, parent: str, part: Part, at: float, spans: list) -> float:
        taken = self.dice.expovariate(1 / (part.typical / 5))
        verb = self.dice.choice(("SELECT", "SELECT", "INSERT", "UPDATE"))
        table = f"{part.name}_{self.dice.choice(('rows', 'items', 'outbox'))}"
        text = {
            "SELECT": f"SELECT {table}.id, {table}.name, {table}.price, {table}.updated_at FROM {table} WHERE {table}.id = ? AND {table}.deleted_at IS NULL ORDER BY {table}.name LIMIT ?",  # noqa: E501
            "INSERT": f"INSERT INTO {table} (id, name, price) VALUES (?, ?, ?)",
            "UPDATE": f"UPDATE {table} SET price = ? WHERE {table}.id = ?",
        }[verb]
        attributes = {"db.system.name": part.database, "db.query.text": text, "db.operation.name": verb}
        spans.append(self._span(trace, parent, verb, "client", part, at, taken, attributes))
        return taken

    def _span(
        self,
        trace: str,
        parent: str,
        name: str,
        kind: str,
        part: Part,
        start: float,
        taken: float,
        attributes: dict,
        error: str = "",
        own: str = "",
    ) -> SpanView:
        replica = self.dice.randrange(part.replicas)
        own = own or self.identity(16)
        return made(
            SpanView, trace, own, parent, name, kind, part.name, part.process, replica, start, taken, error, attributes
        )

    def _tell(self, trace: str, span: str, part: Part, operation: str, at: float, error: str, logs: list) -> None:
        if error:
            before = self.errors.get((part.name, error))
            known = before or made(ErrorView, self.identity(12), error, part.name, operation, 0, at, at)
            count = known.count + self.dice.choice((1, 1, 2, 40))
            self.errors[part.name, error] = replace(
                known, count=count, first=min(known.first, at), last=max(known.last, at), trace_id=trace
            )
        elif self.dice.random() > 0.4:
            return
        level = "error" if error else self.dice.choice(("info", "info", "info", "debug", "warning"))
        message = error or self.dice.choice(
            (f"{operation} took its time", "the cache was filled", f"{operation} ended")
        )
        logs.append(
            made(
                LogView,
                0,
                at,
                level,
                part.process,
                0,
                f"hotels.{part.name}.service",
                message,
                part.name,
                operation,
                trace,
                span,
                TRACEBACK if error == LONG else "",
                {"user": f"user-{self.dice.randrange(90)}", "attempt": "1"},
            )
        )
