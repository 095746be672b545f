"""The table of what became of requests on routes of the gateway, and how what is taken in becomes its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.operators.history_tables import BUCKETS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

STATUSES: Final = ("status_1", "status_2", "status_3", "status_4", "status_5")
COUNTED: Final = ("admitted", "refused", *STATUSES, *BUCKETS)
ROUTE_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS routes (
    time REAL, process TEXT, replica INTEGER, route TEXT, {", ".join(f"{name} INTEGER" for name in COUNTED)}
);
CREATE INDEX IF NOT EXISTS routes_by_time ON routes (time);
"""
ROUTE_PRUNE: Final = (
    "DELETE FROM routes WHERE time < :oldest",
    "DELETE FROM routes WHERE rowid <= (SELECT max(rowid) FROM routes) - :figures",
)
_INSERT: Final = f"INSERT INTO routes VALUES ({', '.join('?' * (4 + len(COUNTED)))})"  # noqa: S608 - as many question marks as columns


class RouteRow(NamedTuple):
    """What became of requests on a route in the ten seconds until `time`; `classes` are answers by 1xx to 5xx."""

    time: float
    process: str
    replica: int
    route: str
    admitted: int
    refused: int
    classes: tuple[int, ...]
    buckets: tuple[int, ...]


def write_routes(tx: sqlite3.Connection, routes: Iterable[RouteRow]) -> None:
    """Keep what became of requests in some seconds."""
    tx.executemany(_INSERT, ((*each[:6], *each.classes, *each.buckets) for each in routes))
