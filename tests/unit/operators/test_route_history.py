"""What became of requests at the gateway is told of the last minute and kept, over all replicas of the edge."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from meristem.operators.history_file import History
from meristem.operators.history_routes import RouteRow
from meristem.operators.history_slots import ChartRange
from meristem.operators.inspection import ProcessDigest, RouteCounts
from meristem.operators.recent_routes import RecentRoutes
from meristem.operators.route_search import find_routes
from meristem.operators.route_views import RouteFigures
from meristem.telemetry.metrics import BOUNDS

NONE = [0] * (len(BOUNDS) + 1)
QUICK = [10, *NONE[1:]]


def digest(life: str, *routes: RouteCounts) -> ProcessDigest:
    return ProcessDigest(
        life=life, seen=0, lost=0, spans=[], operations=[], made=[], cpu=0.0, memory=None, routes=list(routes)
    )


def shop(admitted: int, refused: int = 0, statuses: dict[str, int] | None = None, buckets: list[int] | None = None):
    return RouteCounts(
        route="shop", admitted=admitted, refused=refused, statuses=statuses or {}, buckets=buckets or NONE
    )


def test_the_last_minute_of_a_route_is_that_of_all_replicas():
    recent = RecentRoutes()
    for replica in (0, 1):
        recent.add("edge", replica, digest("a", shop(1000)), 0.0, None)  # it may have run for days
        told = shop(1010, 5, {"200": 8, "503": 1, "101": 1}, QUICK)
        recent.add("edge", replica, digest("a", told), 5.0, None)
    found = recent.of("shop")
    assert (found.seconds, found.admitted, found.refused, found.failed) == (10.0, 2.0, 1.0, 0.1)
    assert found.p50 == pytest.approx(0.00005)
    assert recent.of("else") == RouteFigures()


def test_a_route_that_is_asked_for_the_first_time_was_asked_for_nothing_before():
    recent = RecentRoutes()
    for now in range(0, 100, 5):
        recent.add("edge", 0, digest("a"), float(now), None)
    recent.add("edge", 0, digest("a", shop(6)), 100.0, None)
    found = recent.of("shop")
    assert (found.seconds, found.admitted) == (60.0, 0.1)
    for now in range(105, 165, 5):
        recent.add("edge", 0, digest("a", shop(6)), float(now), None)
        assert 60.0 <= recent.of("shop").seconds < 65.0
    assert recent.of("shop").admitted == 0.0


def test_a_replica_that_began_anew_begins_at_nothing():
    recent = RecentRoutes()
    recent.add("edge", 0, digest("a", shop(1000)), 0.0, None)
    recent.add("edge", 0, digest("b", shop(10)), 5.0, None)
    assert recent.of("shop").admitted == 2.0
    recent.keep([])
    assert recent.of("shop").admitted == 0.0


def test_the_history_has_what_came_since_it_was_told_and_no_row_where_nothing_did():
    recent = RecentRoutes()
    recent.add("edge", 0, digest("a", shop(0)), 0.0, None)
    told = shop(7, 2, {"200": 6, "404": 1}, QUICK)
    assert recent.add("edge", 0, digest("a", told), 9.0, 20.0) == [
        RouteRow(20.0, "edge", 0, "shop", 7, 2, (0, 6, 0, 1, 0), tuple(QUICK))
    ]
    assert recent.add("edge", 0, digest("a", told), 19.0, 30.0) == []


async def test_what_is_kept_is_found_by_route_and_over_all(tmp_path: Path):
    history = History(tmp_path / "history.db")
    await history.start()
    shown = ChartRange.of(15, time.time())
    at = shown.until - 20
    history.add_routes(
        [
            RouteRow(at, "edge", 0, "shop", 100, 50, (0, 80, 0, 10, 10), tuple(QUICK)),
            RouteRow(at, "edge", 1, "shop", 100, 0, (0, 90, 0, 10, 0), tuple(QUICK)),
            RouteRow(at, "edge", 0, "api", 10, 0, (0, 10, 0, 0, 0), tuple(QUICK)),
        ]
    )
    await history._flush()
    (point,) = await history.read(lambda connection: find_routes(connection, shown, "shop"))
    assert (point.figures.admitted, point.figures.refused, point.figures.failed) == (20.0, 5.0, 0.5)
    assert point.answers == {"2xx": 17.0, "4xx": 2.0, "5xx": 1.0}
    assert [(each.over, each.up_to, each.calls) for each in point.durations] == [(0.0, BOUNDS[0], 20)]
    (whole,) = await history.read(lambda connection: find_routes(connection, shown, ""))
    assert whole.figures.admitted == 21.0
    assert await history.read(lambda connection: find_routes(connection, shown, "none")) == []
    await history.stop()
