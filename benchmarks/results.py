"""Writes what a run found: RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from benchmarks import backlog, echo, growth, grpc_ends, journeys, rest, startup, steps, takeover
from benchmarks.bars import (
    Bar,
    of_backlog,
    of_calls,
    of_colocated,
    of_computing,
    of_grpc,
    of_journeys,
    of_postgresql,
    of_rest,
    of_start,
    of_steps,
    of_storage,
    of_takeover,
)
from benchmarks.figures import Spread, short
from benchmarks.tables import cell, skipped, table


class Findings(NamedTuple):
    """Everything that a run found; None stands for what was left out."""

    calls: echo.Results | None = None
    grpc: echo.Results | None = None
    rest: echo.Results | None = None
    colocated: Mapping[str, Spread] | None = None
    storage: Mapping[str, Spread] | None = None
    postgresql: Mapping[str, Spread] | None = None
    computing: Mapping[str, Spread] | None = None
    hotels: journeys.Results | None = None
    steps: steps.Results | None = None
    backlog: Mapping[str, Spread] | None = None
    growth: growth.Results | None = None
    takeover: Mapping[str, Spread] | None = None
    start: startup.Results | None = None

    def bars(self) -> list[Bar]:
        """All bars, those that were not measured too."""
        start = self.start
        return [
            *of_colocated(self.colocated or {}),
            *of_calls({} if self.calls is None else self.calls.figures),
            *of_grpc({} if self.grpc is None else self.grpc.figures),
            *of_rest({} if self.rest is None else self.rest.figures),
            *of_storage(self.storage or {}),
            *of_postgresql(self.postgresql or {}),
            *of_computing(self.computing or {}),
            *of_journeys({} if self.hotels is None else self.hotels.figures),
            *of_steps({} if self.steps is None else self.steps.figures),
            *of_backlog(self.backlog or {}),
            *of_takeover(self.takeover or {}),
            *of_start(
                *((start.imports, start.first_answers, start.memory, start.over_libraries) if start else ({}, {}, {}))
            ),
        ]


def document(
    found: Findings, *, day: date, machine: Mapping[str, str], versions: Mapping[str, str], command: str, rounds: int
) -> str:
    """The whole page, as Markdown."""
    parts = [
        "# Results of the benchmarks",
        (
            f"Measured on {day.isoformat()} by `{command}`, {_times(rounds)}, the stacks in turn. A figure is the "
            "median, with the lowest and the highest beside it. A bar is a ratio of figures of the same round, and the "
            "median of these ratios; where the margin is small there are ten rounds. Take ratios, not absolutes; "
            "differences under 20 % are ties."
        ),
        table(("machine", ""), machine.items()),
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "## Bars",
        table(("bar", "wanted", "found", ""), ((bar.name, bar.wanted, bar.found, bar.verdict) for bar in found.bars())),
    ]
    if found.calls is not None:
        parts += _calls(found.calls)
    parts += _grpc(found.grpc)
    if found.rest is not None:
        parts += _rest(found.rest)
    if found.colocated is not None:
        parts += [
            "## A call within one process",
            table(("CPU time of a call", "µs"), _rows(found.colocated)),
        ]
    if found.storage is not None:
        parts += _storage(found.storage)
    parts += _postgresql(found.postgresql)
    parts += _computing(found.computing)
    if found.hotels is not None:
        parts += _hotels(found.hotels)
    if found.steps is not None:
        parts += _steps(found.steps)
    if found.backlog is not None:
        parts += _backlog(found.backlog)
    parts += growth.section(found.growth)
    if found.takeover is not None:
        parts += [
            "## A replica that is lost",
            f"Two replicas work on {takeover.SAGAS} sagas; the busier one is killed, or stopped as one that hangs.",
            table(("until the last saga has ended", "s"), _rows(found.takeover)),
        ]
    if found.start is not None:
        parts += _start(found.start)
    return "\n\n".join(parts) + "\n"


def _times(rounds: int) -> str:
    return "one round" if rounds == 1 else f"{rounds} rounds"


def _rows(figures: Mapping[str, Spread]) -> list[tuple[str, str]]:
    return [(name, cell(figure)) for name, figure in figures.items()]


def _calls(found: echo.Results) -> list[str]:
    return [
        "## Calls between two processes",
        (
            "Client on one core, server on another (the two of one process have one core). Meristem's defaults are on "
            "at both ends: deadline, metrics, traces, retries, breaker, balancer, bulkhead, signed caller, admission "
            "limit. The peers speak TCP on the loopback interface, as they do by default; Moleculer passes its own "
            "objects within a process, without a copy."
        ),
        "A message of four fields, calls per second by the number in flight:",
        _rates("echo", found),
        "A list of a hundred such messages, calls per second:",
        _rates("list", found),
        "CPU microseconds per call at 64 in flight, server / client; the bars compare the busier ends:",
        table(("stack", "echo", "list of 100"), [(name, *_cpu(each)) for name, each in found.figures.items()]),
        *skipped(found.skipped),
    ]


def _grpc(found: echo.Results | None) -> list[str]:
    if found is None:
        return []
    works = ("echo 64", "list 64")
    rows = [
        (name, *(cell(each[work][kind]) for work in works for kind in ("per_second", "server_us", "client_us")))
        for name, each in found.figures.items()
    ]
    ends = ("per second", "server µs", "client µs")
    columns = [f"{work}, {what}" for work in ("echo", "list of 100") for what in ends]
    return [
        "## gRPC",
        (
            "A stock client on our server and our client on a stock server, beside grpc.aio with protobuf classes at "
            "both ends; 64 calls in flight, the pairs in turn. Ours has all that a call has by default on. "
            f"The bars compare the CPU of the busier end with that of {grpc_ends.STOCK!r}."
        ),
        table(("client on server", *columns), rows),
        *skipped(found.skipped),
    ]


def _rest(found: echo.Results) -> list[str]:
    columns = ("echo 64", "list 64")
    rows = [
        (name, *(cell(each[work][kind]) for work in columns for kind in ("server_us", "per_second")))
        for name, each in found.figures.items()
    ]
    return [
        "## REST",
        (
            f"One raw HTTP/1.1 client with {rest.IN_FLIGHT} connections asks every server over TCP: POST with a JSON "
            "body, read into a type and written from one. A server has one process on one core, as its documentation "
            "starts it; Robyn's threads share that core. None writes an access log but those that say so. The client "
            "is the same for all and busier than the quickest of them, so the bars compare the CPU of the servers."
        ),
        table(("server", "echo, CPU µs", "echoes per second", "list of 100, CPU µs", "lists per second"), rows),
        *skipped(found.skipped),
    ]


def _rates(work: str, found: echo.Results) -> str:
    rows = [
        (name, *(cell(each.get(f"{work} {number}", {}).get("per_second")) for number in echo.IN_FLIGHT))
        for name, each in found.figures.items()
    ]
    return table(("stack", *map(str, echo.IN_FLIGHT)), rows)


def _cpu(figures: Mapping[str, Mapping[str, Spread]]) -> tuple[str, str]:
    def both(work: str) -> str:
        found = figures.get(work, {})
        if "server_us" not in found:
            return "-"
        return f"{short(found['server_us'].median)} / {short(found['client_us'].median)}"

    return both("echo 64"), both("list 64")


def _storage(found: Mapping[str, Spread]) -> list[str]:
    return [
        "## Transactions on SQLite",
        (
            "Two statements and an event in one transaction, and reads of one row, per second; every commit is synced "
            "to the disk. Peer: SQLAlchemy Core over aiosqlite."
        ),
        table(("", "figure"), _rows(found)),
    ]


def _postgresql(found: Mapping[str, Spread] | None) -> list[str]:
    if found is None:
        return []
    return [
        "## Transactions on PostgreSQL",
        (
            "The same on servers of the benchmark's own, without fsync and, where a figure says so, synced, by ten "
            "connections: per second, and the client's processor time for each. Peer: SQLAlchemy Core over asyncpg. "
            "A synced figure tells more of the disk than of the two."
        ),
        table(("", "figure"), _rows(found)),
    ]


def _computing(found: Mapping[str, Spread] | None) -> list[str]:
    if found is None:
        return []
    return [
        "## Work that computes",
        (
            "A neighbour calls every millisecond while others compute for 50 ms at a time, on the event loop or by "
            "`cpu=True`. A model that is made up takes a millisecond a call and a fiftieth of one an item; 32 callers "
            "ask it at a time, one by one or by `@batched`."
        ),
        table(("", "figure"), _rows(found)),
    ]


def _hotels(found: journeys.Results) -> list[str]:
    columns = ("search 1", "search 16", "book 1", "book 16")
    rates = [(site, *(cell(each[name]["per_second"]) for name in columns)) for site, each in found.figures.items()]
    cpu = [(site, *(short(each[name]["server_ms"].median) for name in columns)) for site, each in found.figures.items()]
    beside = [
        (
            site,
            *(f"{short(each[name]['third_ms'].median)} / {short(each[name]['client_ms'].median)}" for name in columns),
        )
        for site, each in found.figures.items()
    ]
    return [
        "## Journeys of the hotel site",
        (
            f"{journeys.HOTELS} hotels. A search asks our own database and the partner over HTTP. A booking of a "
            "signed-in guest is held, charged at the bank, entered in the ledger, confirmed, and counts when its PDF "
            "receipt is made and both mails have arrived; every commit is synced. The site has one core, all processes "
            "of the split too; the guests and the third parties share the other."
        ),
        "Journeys per second by the number in flight:",
        table(("site", *columns), rates),
        "CPU milliseconds of the site per journey:",
        table(("site", *columns), cpu),
        "CPU milliseconds of the third parties / of the guests per journey, no part of the comparison:",
        table(("site", *columns), beside),
        *skipped(found.skipped),
    ]


def _steps(found: steps.Results) -> list[str]:
    rows = [
        (f"{database}: {name}", cell(each["per_second"]), cell(each["cpu_us"]))
        for database, stacks in found.figures.items()
        for name, each in stacks.items()
    ]
    return [
        "## Durable steps",
        (
            f"Work of three steps that add one to a number, {steps.IN_FLIGHT} in flight. On SQLite each has a file in "
            "WAL mode that is synced at every commit; DBOS is told to use that mode, which it does not by itself. On "
            "PostgreSQL each has a database of one server, without fsync and with it. DBOS has a name and a URL, and "
            "its defaults, as its documentation shows: a pool of 20 connections, which are tried before each use, "
            "LISTEN and NOTIFY. Ours has ten connections, its default. CPU is that of the process with the engine."
        ),
        table(("", "per second", "CPU µs of one"), rows),
        *skipped(found.skipped),
    ]


def _backlog(found: Mapping[str, Spread]) -> list[str]:
    return [
        "## A backlog of events",
        (
            "One publisher, one subscriber with a database of its own, every commit synced: as many events with as "
            f"many keys, {backlog.EVENTS:,} with {backlog.KEYS:,} in a full run, handled as they come, and after all "
            f"have been published. A drain is cut off after {backlog.SECONDS:g} s."
        ),
        table(("", "figure"), _rows(found)),
    ]


def _start(found: startup.Results) -> list[str]:
    rows = [(name, cell(each), cell(found.memory.get(name))) for name, each in found.first_answers.items()]
    parts = [
        "## Starting, and memory",
        table(("import", "ms"), _rows(found.imports)),
        table(("from launch to first answer", "s", "resident MB after it"), rows),
    ]
    if found.split:
        parts += [
            "Resident memory of the split, MB by process:",
            table(("process", "MB"), [(name, short(each)) for name, each in found.split.items()]),
        ]
    return parts
