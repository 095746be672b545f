"""The numbers to hold, and whether a run held them.

Almost all are ratios within one run, taken round by round: the pace of a machine changes by more than what they tell.
What is left in seconds, milliseconds or MB is what people wait for or pay for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from benchmarks import backlog, colocated, computing, grpc_ends, rest, steps, takeover
from benchmarks.echo import CONNECT, GRPC, HTTPX, LIMIT, MOLECULER, OURS
from benchmarks.figures import Spread, short
from benchmarks.journeys import MONOLITH, ONE
from benchmarks.startup import HOTELS, MERISTEM, ONE_SERVICE, THEIRS

TIE: Final = 0.8  # of theirs: what is nearer tells more of the machine and of the hour than of the two


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
    """Ours must be so many times theirs: the median of the rounds' ratios."""
    ratio = _ratio(ours, theirs)
    return Bar(name, f"≥ {factor:.2g} x", _times(ratio), None if ratio is None else ratio.median >= factor)


def not_less(name: str, ours: Spread | None, theirs: Spread | None) -> Bar:
    """Ours must be as much as theirs, by the median of the rounds' ratios; less than a fifth apart is a tie."""
    ratio = _ratio(ours, theirs)
    return Bar(name, "≥ 1 x, or a tie", _times(ratio), None if ratio is None else ratio.median > TIE)


def at_most_times(name: str, factor: float, ours: Spread | None, theirs: Spread | None) -> Bar:
    """Ours must not be more than so many times theirs: the median of the rounds' ratios."""
    ratio = _ratio(ours, theirs)
    return Bar(name, f"≤ {factor:.2g} x", _times(ratio), None if ratio is None else ratio.median <= factor)


def at_most(name: str, limit: float, unit: str, found: Spread | None) -> Bar:
    """The median must not be above a limit."""
    wanted = f"≤ {limit:g} {unit}"
    if found is None:
        return Bar(name, wanted, "-", None)
    return Bar(name, wanted, f"{found.median:.3g} {unit}", found.median <= limit)


def _ratio(ours: Spread | None, theirs: Spread | None) -> Spread | None:
    return None if ours is None or theirs is None or not any(theirs.figures) else ours.against(theirs)


def _times(ratio: Spread | None) -> str:
    if ratio is None:
        return "-"
    return f"{short(ratio.median)} x" + (f" ({short(ratio.low)} to {short(ratio.high)})" if ratio.rounds > 1 else "")


def of_colocated(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bar of a call within one process."""
    ours, plain = figures.get(colocated.CALL), figures.get(colocated.PLAIN)
    return [at_most_times("colocated call: a plain await", 20.0, ours, plain)]


def capacity(found: Mapping[str, Spread]) -> Spread | None:
    """Calls per second that the CPU of the busier end allows: what else runs on the machine doesn't change it."""
    client, server = found.get("client_us"), found.get("server_us")
    if client is None or server is None:
        return None
    return Spread(tuple(1e6 / max(ends) for ends in zip(client.figures, server.figures, strict=True)))


def of_calls(figures: Figures) -> list[Bar]:
    """The bars of calls between two processes.

    The bare protocol keeps neither end busy, it waits for the next batch: so it is compared by what it answers.
    """

    def compared(stack: str, work: str, peer: str) -> Spread | None:
        found = figures.get(stack, {}).get(work, {})
        return found.get("per_second") if peer == LIMIT else capacity(found)

    wanted = [
        ("echo 64", HTTPX, 50.0),
        ("echo 64", GRPC, 10.0),
        ("echo 64", CONNECT, 5.0),
        ("echo 64", MOLECULER, 1.3),
        ("echo 64", LIMIT, 0.45),
        ("list 64", HTTPX, 30.0),
        ("list 64", GRPC, 5.0),
    ]
    names = {"echo 64": "remote echo, 64 in flight", "list 64": "remote list of 100, 64 in flight"}
    return [
        at_least(f"{names[work]}: {peer}", factor, compared(OURS, work, peer), compared(peer, work, peer))
        for work, peer, factor in wanted
    ]


def of_grpc(figures: Figures) -> list[Bar]:
    """The bars of gRPC with one end of ours: what the busier end allows, beside grpc.aio at both."""

    def allowed(pair: str, work: str) -> Spread | None:
        return capacity(figures.get(pair, {}).get(work, {}))

    names = {"echo 64": "echo", "list 64": "list of 100"}
    return [
        not_less(f"gRPC, {name}, {pair}: {grpc_ends.STOCK}", allowed(pair, work), allowed(grpc_ends.STOCK, work))
        for pair in (grpc_ends.SERVED, grpc_ends.CALLING)
        for work, name in names.items()
    ]


def of_rest(figures: Figures) -> list[Bar]:
    """The bars of requests by one raw client, by the CPU of the server."""

    def served(name: str, work: str) -> Spread | None:
        return rest.served(figures.get(name, {}).get(work, {}))

    wanted = [
        (rest.REST, "echo 64", rest.FASTAPI, 4.0),
        (rest.REST, "echo 64", rest.STARLETTE, 1.5),
        (rest.REST, "echo 64", rest.RPC, 0.8),
        (rest.REST, "list 64", rest.FASTAPI, 4.0),
        (rest.REST, "list 64", rest.STARLETTE, 1.5),
        (rest.REST, "list 64", rest.RPC, 0.8),
        (rest.SIGNED, "echo 64", rest.RPC, 0.8),
    ]
    names = {"echo 64": "echo", "list 64": "list of 100"}
    said = {rest.REST: "REST", rest.SIGNED: "RPC with a bearer token"}
    return [
        at_least(f"{said[ours]}, {names[work]}: {peer}", factor, served(ours, work), served(peer, work))
        for ours, work, peer, factor in wanted
    ]


def of_storage(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bars of transactions."""
    ours, theirs = figures.get("ours, transact x16"), figures.get("peer, transact x16")
    late, idle = figures.get("event loop late, p99.9 ms"), figures.get("event loop late with nothing to do, p99.9 ms")
    if late is not None and idle is not None:  # what the machine itself adds is no statement's doing
        late = Spread(tuple(max(0.0, busy - rest) for busy, rest in zip(late.figures, idle.figures, strict=True)))
    return [
        at_least("transaction with an event, 16 in flight: SQLAlchemy + aiosqlite", 4.0, ours, theirs),
        at_most("event loop held by statements (99.9 % of ticks)", 5.0, "ms", late),
    ]


def of_postgresql(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bars of transactions on a server."""
    work, peer = "transact x16", "SQLAlchemy + asyncpg"
    costs = figures.get(f"peer, {work}, µs of CPU"), figures.get(f"ours, {work}, µs of CPU")
    return [
        at_least(
            f"transaction with an event on PostgreSQL, 16 in flight: {peer}",
            1.5,
            figures.get(f"ours, {work}"),
            figures.get(f"peer, {work}"),
        ),
        at_least(f"the client's CPU time of it: {peer}, of ours", 1.5, *costs),
    ]


def of_computing(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bars of what computes, each beside the same work without what is offered for it."""
    return [
        at_most_times(
            "a neighbour's p99 beside computations in workers: beside the same on the loop",
            0.5,
            figures.get(computing.WORKERS),
            figures.get(computing.INLINE),
        ),
        at_least(
            "calls of a model, batched: one by one",
            3.0,
            figures.get(computing.BATCHED),
            figures.get(computing.ONE_BY_ONE),
        ),
    ]


def of_journeys(figures: Figures) -> list[Bar]:
    """The bars of the hotel site."""

    def rate(site: str, journey: str) -> Spread | None:
        return figures.get(site, {}).get(journey, {}).get("per_second")

    names = {"search 16": "hotel search, 16 in flight", "book 16": "hotel booking to the last mail, 16 in flight"}
    return [
        at_least(f"{name}: the monolith", 3.0, rate(ONE, each), rate(MONOLITH, each)) for each, name in names.items()
    ]


def of_steps(figures: Mapping[str, Figures]) -> list[Bar]:
    """The bars of durable work, by what is done and by its CPU; where every commit is synced on a server, none."""
    found = []
    for database in (steps.SQLITE, steps.POSTGRESQL):
        ours, theirs = (figures.get(database, {}).get(each, {}) for each in (steps.OURS, steps.PEER))
        name = f"saga of three steps on {database}, 16 in flight"
        found += [
            at_least(f"{name}: DBOS", 5.0, ours.get("per_second"), theirs.get("per_second")),
            at_least(f"{name}, CPU: DBOS, of ours", 5.0, theirs.get("cpu_us"), ours.get("cpu_us")),
        ]
    return found


def of_backlog(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bars of a backlog of events."""
    ours, steady = figures.get(backlog.DRAIN), figures.get(backlog.STEADY)
    return [
        at_least("backlog of keyed events: the outbox nearly empty", 0.7, ours, steady),
        at_most("wait of writers beside a backlog (99 %)", 50.0, "ms", figures.get(backlog.WAIT)),
    ]


def of_start(
    imports: Mapping[str, Spread],
    first_answers: Mapping[str, Spread],
    memory: Mapping[str, Spread],
    over_libraries: Spread | None = None,
) -> list[Bar]:
    """The bars of starting and of memory; `over_libraries` is what a process of the split adds to its libraries."""
    theirs = imports.get(THEIRS)
    return [
        at_most_times("import of meristem: FastAPI, uvicorn and httpx", 0.35, imports.get(MERISTEM), theirs),
        at_most_times(
            "hotel system, start to first answer: import of FastAPI, uvicorn and httpx",
            4.0,
            first_answers.get(HOTELS),
            None if theirs is None else Spread(tuple(each / 1000 for each in theirs.figures)),
        ),
        at_most("resident memory of a one-service process", 60.0, "MB", memory.get(ONE_SERVICE)),
        at_most("resident memory of a process of the split, over its libraries", 60.0, "MB", over_libraries),
    ]


def of_takeover(figures: Mapping[str, Spread]) -> list[Bar]:
    """The bars of a replica that dies and of one that hangs."""
    return [
        at_most("takeover after a replica was killed", 5.0, "s", figures.get(takeover.KILLED)),
        at_most("takeover after a replica hung", 5.0, "s", figures.get(takeover.HUNG)),
    ]
