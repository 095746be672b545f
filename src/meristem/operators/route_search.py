"""Finds in the history what became of requests on routes of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.operators.history_routes import COUNTED, STATUSES
from meristem.operators.history_search import durations_of
from meristem.operators.history_slots import POINT, WITHIN
from meristem.operators.history_tables import BUCKETS
from meristem.operators.load_search import points_alive
from meristem.operators.recent_routes import RouteTotals, route_figures
from meristem.operators.route_views import RouteFigures, RoutePoint

if TYPE_CHECKING:
    import sqlite3

    from meristem.operators.history_slots import ChartRange


def find_routes(connection: sqlite3.Connection, shown: ChartRange, route: str) -> list[RoutePoint]:
    """What became of requests on a route, on all where none is named; where nothing ran, there is no point."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNTED)
    wanted = " AND route = :route" if route else ""
    text = f"SELECT {POINT} AS point, {sums} FROM routes WHERE {WITHIN}{wanted} GROUP BY point"  # noqa: S608 - of own pieces
    counted = {row["point"]: row for row in connection.execute(text, {**shown.values, "route": route})}
    alive = points_alive(connection, shown, "")
    return [_point(shown, each, counted.get(each)) for each in sorted(alive | set(counted))]


def _point(shown: ChartRange, point: int, row: sqlite3.Row | None) -> RoutePoint:
    if row is None:
        return RoutePoint(time=shown.end(point), figures=RouteFigures(seconds=shown.width))
    statuses, buckets = tuple(row[name] for name in STATUSES), tuple(row[name] for name in BUCKETS)
    totals = RouteTotals(shown.width, row["admitted"], row["refused"], statuses, buckets)
    return RoutePoint(
        time=shown.end(point),
        figures=route_figures([totals], shown.width),
        answers={f"{first}xx": count / shown.width for first, count in enumerate(statuses, 1) if count},
        durations=durations_of(buckets),
    )
