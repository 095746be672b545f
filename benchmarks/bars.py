"""The numbers to hold, and whether a run held them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.echo import CONNECT, GRPC, HTTPX, LIMIT, OURS
from benchmarks.figures import Spread, short
from benchmarks.journeys import MONOLITH, ONE


class Bar(NamedTuple):
    """A bar and what was found; `met` is None where it was not measured."""

    name: str
    wanted: str
    found: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """A word for people."""
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


Figures = Mapping[str, Mapping[str, Mapping[str, Spread]]]


def at_least(name: str, factor: float, ours: Spread | None, theirs: Spread | None) -> Bar:
    """Ours must be so many times theirs, compared by their medians."""
    wanted = f"≥ {factor:.2g} x"
    if ours is None or theirs is None or not theirs.median:
        return Bar(name, wanted, "-", None)
    ratio = ours.median / theirs.median
    return Bar(name, wanted, f"{short(ratio)} x ({short(ours.median)} / {short(theirs.median)})", ratio >= factor)


def at_most(name: str, limit: float, unit: str, found: Spread | None) -> Bar:
    """The median must not be above a limit."""
    wanted = f"≤ {limit:g} {unit}"
    if found is None:
        return Bar(name, wanted, "-", None)
    return Bar(name, wanted, f"{found.median:.3g} {unit}", found.median <= limit)


def of_calls(figures: Figures) -> list[Bar]:
    """The bars of calls between two processes."""

    def rate(stack: str, work: str) -> Spread | None:
        return figures.get(stack, {}).get(work, {}).get("per_second")

    wanted = [
        ("echo 64", HTTPX, 30.0),
        ("echo 64", GRPC, 5.0),
        ("echo 64", CONNECT, 3.0),
        ("echo 64", LIMIT, 1 / 3),
        ("list 64", HTTPX, 15.0),
        ("list 64", GRPC, 3.0),
    ]
    names = {"echo 64": "remote echo, 64 in flight", "list 64": "remote list of 100, 64 in flight"}
    return [
        at_least(f"{names[work]}: {peer}", factor, rate(OURS, work), rate(peer, work)) for work, peer, factor in wanted
    ]


def of_colocated(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bar of a call within one process."""
    return [at_most("colocated call, over a plain await", 2.0, "µs", figures.get("over a plain await"))]


def of_storage(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bars of transactions."""
    ours, theirs = figures.get("ours, transact x16"), figures.get("peer, transact x16")
    late, idle = figures.get("event loop late, p99.9 ms"), figures.get("event loop late with nothing to do, p99.9 ms")
    if late is not None and idle is not None:  # what the machine itself adds is no statement's doing
        late = late._replace(median=max(0.0, late.median - idle.median))
    return [
        at_least("transaction with an event, 16 in flight: SQLAlchemy + aiosqlite", 4.0, ours, theirs),
        at_most("event loop held by statements (99.9 % of ticks)", 5.0, "ms", late),
    ]


def of_journeys(figures: Figures) -> list[Bar]:
    """The bars of the hotel site."""

    def rate(site: str, journey: str) -> Spread | None:
        return figures.get(site, {}).get(journey, {}).get("per_second")

    names = {"search 16": "hotel search, 16 in flight", "book 16": "hotel booking to the last mail, 16 in flight"}
    return [
        at_least(f"{name}: the monolith", 3.0, rate(ONE, each), rate(MONOLITH, each)) for each, name in names.items()
    ]


def of_start(
    imports: Mapping[str, Spread], first_answers: Mapping[str, Spread], memory: Mapping[str, Spread]
) -> list[Bar]:
    """The bars of starting and of memory."""
    return [
        at_most("import of meristem", 120.0, "ms", imports.get("meristem")),
        at_most("hotel system, start to first answer", 1.5, "s", first_answers.get("hotels, one process")),
        at_most("resident memory of a one-service process", 60.0, "MB", memory.get("hello, one service")),
    ]
