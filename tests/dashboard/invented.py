"""Systems that were never run: what operators would see of them, drawn by dice that fall alike each time."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from meristem.operators.operator_contract import (
    ErrorView,
    FigurePoint,
    Figures,
    LogView,
    MapEdge,
    MapNode,
    OperationView,
    ProcessView,
    SpanView,
    SystemMap,
)

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
            made(FigurePoint, end - (119 - each) * step, self.figures(rate * (1 + (each % 40) / 60), failing, typical))
            for each in range(120)
        ]

    def trace(self, start: float, entry: str, operation: str) -> tuple[list[SpanView], list[LogView]]:
        """One visit: HTTP at the edge, calls below it, statements, steps of a saga, events."""
        spans: list[SpanView] = []
        logs: list[LogView] = []
        self._call(self.identity(32), "", entry, operation, start, spans, logs, depth=0)
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
        for event in part.events if operation in part.operations and not error else ():
            spans.append(
                self._span(
                    trace, own, f"publish {event}", "producer", part, at, 0.0004, {"messaging.destination.name": event}
                )
            )
        spans.append(self._span(trace, parent, name, kind, part, start, at - start, attributes, error, own))
        self._tell(trace, part, operation, at, error, logs)
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

    def _tell(self, trace: str, part: Part, operation: str, at: float, error: str, logs: list) -> None:
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
                TRACEBACK if error == LONG else "",
                {"user": f"user-{self.dice.randrange(90)}", "attempt": "1"},
            )  # fmt: skip
        )


def hotels(now: float, traces: int = 400) -> Invented:
    """A small system as the hotel site is: an edge, eight services, a bank over HTTP, a partner in a program, a bus."""
    parts = [
        Part(
            "web",
            "edge",
            {
                "home": ["search.popular"],
                "search": ["search.rooms", "users.profile"],
                "book": ["users.profile", "reservations.book"],
                "bookings": ["reservations.of_user"],
                "cancel": ["reservations.cancel"],
            },
            database="",
            typical=0.003,
            rate=24,
        ),
        Part("search", "search", {"rooms": ["rooms.free"], "popular": []}, replicas=2, typical=0.011, rate=19),
        Part("rooms", "rooms", {"free": [], "hold": [], "release": []}, events=["RoomHeld"], rate=22),
        Part("users", "users", {"profile": [], "sign_in": []}, typical=0.002, rate=17),
        Part(
            "reservations",
            "reservations",
            {
                "book": ["rooms.hold", "payments.charge", "documents.receipt", "notifications.send"],
                "cancel": ["payments.refund", "rooms.release"],
                "of_user": [],
            },
            events=["RoomBooked"],
            typical=0.009,
            rate=3.1,
        ),
        Part("payments", "payments", {"charge": [], "refund": []}, failing=0.08, typical=0.18, rate=2.9),
        Part("documents", "documents", {"receipt": []}, typical=0.4, rate=2.7),
        Part(
            "notifications",
            "notifications",
            {"send": [], "resend_everything_that_was_never_delivered": []},
            typical=0.03,
            rate=2.7,
        ),
    ]
    inventor = Inventor(parts, now)
    invented = _invent(inventor, "hotels", "https://hotels.example", _hotel_map(inventor), traces, ["web"])
    invented.processes += [
        made(
            ProcessView,
            "bank",
            0,
            True,
            "ready",
            4411,
            0,
            now - 7200,
            [],
            [],
            "http://127.0.0.1:9100",
            "",
            61_200_000,
            0.01,
        ),
        made(
            ProcessView,
            "documents",
            1,
            False,
            "waiting",
            None,
            14,
            now - 4,
            ["documents"],
            [],
            "",
            "ended with status 139 (SIGSEGV), is started again in 8 s",
            None,
            None,
        ),
    ]
    return invented


def _hotel_map(inventor: Inventor) -> tuple[list[MapNode], list[MapEdge]]:
    nodes = [
        made(MapNode, "app:web", "app", "web", "edge", "ready", 1, 1, "quart"),
        made(MapNode, "program:bank", "program", "bank", "bank", "ready", 1, 1, "uvicorn bank.app:app"),
        made(MapNode, "external:partner", "external", "partner", "", "", 0, 0, "https://api.partner-hotels.example/v2"),
        made(MapNode, "bus:direct", "bus", "direct", detail="direct"),
        made(MapNode, "outside:clients", "outside", "clients"),
    ]
    known = inventor.figures
    edges = [
        made(MapEdge, "outside:clients", "app:web", "call", True, 88_120, known(24, 0.01, 0.02)),
        made(MapEdge, "service:payments", "program:bank", "call", True, 10_201, known(2.9, 0.09, 0.2)),
        made(MapEdge, "service:search", "external:partner", "call", True, 64_001, known(19, 0.0, 0.3)),
        made(MapEdge, "service:reservations", "bus:direct", "event", True, 9_000, known(3, 0, 0.001)),
        made(MapEdge, "service:rooms", "bus:direct", "event", True, None),
        made(MapEdge, "bus:direct", "service:notifications", "event", True, 9_000, known(3, 0, 0.01)),
        made(MapEdge, "bus:direct", "service:search", "event", True, 0),
        made(MapEdge, "service:documents", "service:users", "call", True, 0),
        made(MapEdge, "service:notifications", "service:users", "call", False, 41, known(0.1, 0, 0.002)),
    ]
    return nodes, edges


TIERS = (0, 4, 16, 33, 50, 50)


def large(now: float, traces: int = 2000) -> Invented:
    """Fifty services in twenty processes, and a hundred thousand spans."""
    dice = random.Random(50)
    words = [
        "orders",
        "stock",
        "basket",
        "prices",
        "catalogue",
        "search",
        "carriers",
        "parcels",
        "returns",
        "invoices",
        "ledger",
        "tax",
        "payments",
        "refunds",
        "fraud",
        "users",
        "sessions",
        "mail",
        "sms",
        "letters",
        "images",
        "reviews",
        "ratings",
        "wishes",
        "coupons",
        "loyalty",
        "stores",
        "regions",
        "weather",
        "routes",
        "drivers",
        "vehicles",
        "fuel",
        "shifts",
        "payroll",
        "hiring",
        "audit",
        "exports",
        "imports",
        "feeds",
        "partners",
        "affiliates",
        "adverts",
        "banners",
        "metrics",
        "reports",
        "forecasts",
        "suppliers",
        "purchasing",
        "a_service_with_a_very_long_name_indeed",
    ]  # noqa: E501
    parts = []
    for number, name in enumerate(words):
        tier = next(each for each in range(4) if number < TIERS[each + 1])
        near = words[TIERS[tier + 1] : TIERS[tier + 2]] if tier < 3 else []
        known = dice.sample(near, min(len(near), dice.choice((1, 2, 2, 3))))
        if tier < 2 and number % 5 == 0:
            known.append(words[-2 - number % 3])
        calls = {
            f"{verb}_{name}"[:40]: [f"{each}.get_{each}"[:60] for each in known if dice.random() < 0.8]
            for verb in ("get", "place", "list")
        }
        own = f"group-{tier}{number // 3}" if number % 9 < 6 else name
        parts.append(
            Part(
                name,
                own,
                calls,
                typical=dice.uniform(0.001, 0.05),
                failing=0.004 if number % 9 else 0.05,
                replicas=dice.choice((1, 1, 2, 4)),
                rate=dice.uniform(0.01, 4000),
                database="postgresql",
            )
        )
    inventor = Inventor(parts, now, 50)
    known = inventor.figures
    nodes = [
        made(MapNode, "outside:clients", "outside", "clients"),
        made(MapNode, "bus:nats", "bus", "nats", detail="nats"),
    ]
    edges = [
        made(MapEdge, "outside:clients", f"service:{each}", "call", True, 10, known(9, 0, 0.1)) for each in words[:3]
    ]
    edges += [made(MapEdge, f"service:{each}", "bus:nats", "event", True, 4) for each in words[5:30:6]]
    edges += [made(MapEdge, "bus:nats", f"service:{each}", "event", True, 4) for each in words[20:45:5]]
    return _invent(inventor, "warehouse", "https://warehouse.example", (nodes, edges), traces, words[:6])


def _invent(inventor: Inventor, name: str, address: str, drawn: tuple, traces: int, entries: list[str]) -> Invented:
    nodes, edges = drawn
    known, now, dice = inventor.figures, inventor.now, inventor.dice
    operations, processes, seen = [], [], defaultdict(list)
    for part in inventor.parts.values():
        if f"app:{part.name}" not in {each.id for each in nodes}:
            figures = known(part.rate, part.failing, part.typical)
            ready = part.replicas - (part.name == "documents")
            nodes.append(
                made(
                    MapNode,
                    f"service:{part.name}",
                    "service",
                    part.name,
                    part.process,
                    "ready" if ready else "unready",
                    part.replicas,
                    ready,
                    "",
                    figures,
                )
            )
            operations += [
                made(
                    OperationView,
                    part.name,
                    each,
                    int(part.rate * 9_000 * (number + 1) / 3),
                    known(part.rate / 3, part.failing, part.typical),
                )
                for number, each in enumerate(part.operations)
            ]
        if part.database:
            nodes.append(
                made(
                    MapNode,
                    f"database:{part.name}",
                    "database",
                    part.name,
                    detail=f"{part.database}:///var/lib/{name}/{part.name}.db",
                )
            )
            edges.append(
                made(
                    MapEdge,
                    f"service:{part.name}",
                    f"database:{part.name}",
                    "data",
                    True,
                    4_000,
                    known(part.rate * 2, 0, 0.0006),
                )
            )
        for called in sorted({each.partition(".")[0] for calls in part.operations.values() for each in calls}):
            own = f"app:{part.name}" if f"app:{part.name}" in {each.id for each in nodes} else f"service:{part.name}"
            edges.append(
                made(
                    MapEdge,
                    own,
                    f"service:{called}",
                    "call",
                    True,
                    3_000,
                    known(
                        inventor.parts[called].rate / 2, inventor.parts[called].failing, inventor.parts[called].typical
                    ),
                )
            )
        for replica in range(part.replicas):
            seen[part.process, replica].append(part.name)
    for (process, replica), services in seen.items():
        apps = ["web"] if services == ["web"] else []
        processes.append(
            made(
                ProcessView,
                process,
                replica,
                False,
                "ready",
                4000 + len(processes),
                0,
                now - dice.uniform(60, 400_000),
                [] if apps else services,
                apps,
                f"unix:/run/{process}-{replica}.sock",
                "",
                int(dice.uniform(48e6, 220e6)),
                dice.uniform(0, 0.7),
            )
        )
    invented = Invented(made(SystemMap, name, address, now - 400_000, nodes, edges), processes, operations)
    for each in range(traces):
        entry = dice.choice(entries)
        start = now - (traces - each) * 3600 / traces
        spans, logs = inventor.trace(start, entry, dice.choice(list(inventor.parts[entry].operations)))
        invented.spans += spans
        invented.logs += logs
    invented.logs.sort(key=lambda each: each.time)
    invented.logs = [replace(line, id=number) for number, line in enumerate(invented.logs, 1)]
    invented.errors = sorted(inventor.errors.values(), key=lambda each: -each.last)
    return invented
