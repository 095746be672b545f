"""Two systems that were never run: a small one as the hotel site is, and one of fifty services."""

from __future__ import annotations

import random
from collections import defaultdict

from msgspec.structs import replace

from meristem.operators.operator_contract import (
    MapEdge,
    MapNode,
    OperationView,
    PartSettings,
    ProcessView,
    SettingView,
    SystemMap,
)
from tests.dashboard.invented import Invented, Inventor, Part, made


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
    invented.system = replace(invented.system, has_gateway=True)
    invented.settings = [
        PartSettings(part=part, settings=[made(SettingView, *each) for each in found]) for part, found in TOLD.items()
    ]
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


TOLD = {
    "payments": [
        ("bank_url", "http://127.0.0.1:9100", "app://bank in deploy/hotels.toml", "HOTELS_PAYMENTS_BANK_URL"),
        ("bank_key", "***", "HOTELS_PAYMENTS_BANK_KEY", "HOTELS_PAYMENTS_BANK_KEY"),
        ("attempts", "3", "default", "HOTELS_PAYMENTS_ATTEMPTS"),
    ],
    "search": [("radius", "25.0", "default", "HOTELS_SEARCH_RADIUS")],
}
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
    ]
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
