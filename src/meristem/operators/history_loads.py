"""The tables of what processes carried and of events that waited, and how what is taken in becomes their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

LOAD_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS process_loads (
    time REAL, seconds REAL, process TEXT, replica INTEGER, cpu REAL, memory INTEGER, loop_lag REAL, services TEXT
);
CREATE INDEX IF NOT EXISTS process_loads_by_time ON process_loads (time);
CREATE TABLE IF NOT EXISTS service_loads (
    time REAL, process TEXT, replica INTEGER, service TEXT, waiting INTEGER, shed INTEGER
);
CREATE INDEX IF NOT EXISTS service_loads_by_time ON service_loads (time);
CREATE TABLE IF NOT EXISTS backlogs (time REAL, told TEXT);
CREATE INDEX IF NOT EXISTS backlogs_by_time ON backlogs (time);
"""
LOAD_PRUNE: Final = tuple(
    statement
    for table in ("process_loads", "service_loads", "backlogs")
    for statement in (
        f"DELETE FROM {table} WHERE time < :oldest",  # noqa: S608 - names of this module
        f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - :figures",  # noqa: S608
    )
)
_PROCESS: Final = "INSERT INTO process_loads VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SERVICE: Final = "INSERT INTO service_loads VALUES (?, ?, ?, ?, ?, ?)"
_BACKLOG: Final = "INSERT INTO backlogs VALUES (?, ?)"


class ProcessLoadRow(NamedTuple):
    """What a replica carried in the ten seconds until `time`, of which `seconds` were looked at.

    That there is one says that the replica, and each of its `services`, was there.
    """

    time: float
    seconds: float
    process: str
    replica: int
    cpu: float | None
    memory: int | None
    loop_lag: float
    services: tuple[str, ...]


class ServiceLoadRow(NamedTuple):
    """The most calls that waited at once for a service in a replica, and those turned away; no row where none were."""

    time: float
    process: str
    replica: int
    service: str
    waiting: int
    shed: int


class LoadRows(NamedTuple):
    """What is kept of a replica for ten seconds."""

    process: ProcessLoadRow
    services: list[ServiceLoadRow]


class Owed(msgspec.Struct, array_like=True, frozen=True):
    """What a publishing service owes a subscriber; `age` is that of the oldest of what waits, in seconds."""

    service: str
    subscriber: str
    waiting: int = 0
    failed: int = 0
    age: float | None = None
    dead: int = 0


class BacklogCount(msgspec.Struct, array_like=True, frozen=True):
    """All that is owed, by `services` that could be asked, and what a broker has for each subscriber, where it does."""

    services: list[str]
    owed: list[Owed]
    lags: dict[str, int]


class BacklogRow(NamedTuple):
    """Events that waited at a time."""

    time: float
    told: BacklogCount


def write_loads(tx: sqlite3.Connection, loads: Iterable[LoadRows]) -> None:
    """Keep what replicas carried."""
    told = list(loads)
    tx.executemany(_PROCESS, ((*each.process[:-1], " ".join(each.process.services)) for each in told))
    tx.executemany(_SERVICE, (row for each in told for row in each.services))


def write_backlogs(tx: sqlite3.Connection, backlogs: Iterable[BacklogRow]) -> None:
    """Keep which events waited."""
    tx.executemany(_BACKLOG, ((each.time, msgspec.json.encode(each.told).decode()) for each in backlogs))
