"""What processes carried and which events waited: exact where somebody looked, and a gap where nobody was there."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from meristem.operators import history_file as kept
from meristem.operators.history_file import Keeping
from meristem.operators.history_loads import (
    BacklogCount,
    BacklogRow,
    LoadRows,
    Owed,
    ProcessLoadRow,
    ServiceLoadRow,
)
from meristem.operators.history_search import find_figures
from meristem.operators.history_slots import KEPT, ChartRange, Slots
from meristem.operators.history_tables import FigureRow
from meristem.operators.inspection import ProcessDigest
from meristem.operators.load_search import find_backlogs, find_loads, find_replicas
from meristem.operators.load_views import ServiceLoad
from meristem.operators.recent_loads import RecentLoads
from tests.unit.operators.test_history import opened, written

END = time.time() // KEPT * KEPT  # of the latest ten seconds
SHOWN = ChartRange.of(15, END + 5)


def load(slots_ago, replica=0, *, process="main", services=("shop", "stock"), waiting=0, shed=0, **more):
    """What a replica carried, so many times ten seconds ago."""
    at = END - slots_ago * KEPT
    given = {"cpu": 0.5, "memory": 1000, "loop_lag": 0.001} | more
    queued = [ServiceLoadRow(at, process, replica, "stock", waiting, shed)] if waiting or shed else []
    return LoadRows(ProcessLoadRow(at, 10.0, process, replica, services=services, **given), queued)


def ago(points):
    """How many times ten seconds ago each point ended."""
    return [round((END - each.time) / KEPT) for each in points]


async def test_a_replica_that_was_away_has_a_gap_and_one_that_came_later_begins_there(tmp_path):
    async with opened(tmp_path) as history:
        history.add_loads([load(each) for each in (9, 8, 4, 3)] + [load(each, 1, memory=500) for each in (4, 3)])
        await written(history)
        first, second = await history.read(lambda rows: find_replicas(rows, SHOWN, "main"))
        together = await history.read(lambda rows: find_loads(rows, SHOWN, ""))
    assert (ago(first.points), ago(second.points)) == ([9, 8, 4, 3], [4, 3])
    assert [(each.memory, each.cpu) for each in together] == [(1000, 0.5)] * 2 + [(1500, 1.0)] * 2


async def test_the_queue_of_a_service_is_the_most_that_waited_at_once_in_all_replicas(tmp_path):
    hour = ChartRange.of(60, END + 5)  # a point of it is thirty seconds
    begin = round((END - hour.until) / KEPT) + 2
    async with opened(tmp_path) as history:
        history.add_loads(
            [load(begin, waiting=4, shed=3), load(begin, 1, waiting=2), load(begin - 1, waiting=5, shed=6)]
        )
        history.add_loads([load(begin, process="web", services=(), loop_lag=0.7)])
        await written(history)
        [stock] = await history.read(lambda rows: find_loads(rows, hour, "stock"))
        [shop] = await history.read(lambda rows: find_loads(rows, hour, "shop"))
        [everything] = await history.read(lambda rows: find_loads(rows, hour, ""))
        assert await history.read(lambda rows: find_loads(rows, hour, "nobody")) == []
    assert (stock.waiting, stock.shed, stock.loop_lag) == (6, pytest.approx(0.3), 0.001)
    assert (shop.waiting, shop.shed) == (0, 0.0)
    assert (everything.waiting, everything.loop_lag) == (6, 0.7)


async def test_where_nothing_was_called_the_rate_is_0_and_where_nothing_ran_it_is_not_known(tmp_path):
    async with opened(tmp_path) as history:
        history.add_loads([load(each) for each in (9, 8, 7, 3)])
        history.add_figures([FigureRow(END - 9 * KEPT, 10.0, "main", 0, "stock", "take", 50, 0, 0, [50, *[0] * 17])])
        await written(history)
        points = await history.read(lambda rows: find_figures(rows, SHOWN, "stock", "take"))
    assert ago(points) == [9, 8, 7, 3]
    assert [each.figures.rate for each in points] == [5.0, 0.0, 0.0, 0.0]
    assert points[1].figures.p50 is None


async def test_events_that_waited_are_found_by_publisher_and_subscriber(tmp_path):
    def count(slots_ago, *owed, services=("orders", "stock"), **lags):
        return BacklogRow(END - slots_ago * KEPT, BacklogCount(list(services), list(owed), lags))

    async with opened(tmp_path) as history:
        history.add_backlog(count(5, Owed("orders", "mail", 3, 1, 60.0), Owed("stock", "mail", 2, 0, 5.0), mail=7))
        history.add_backlog(count(4, Owed("orders", "mail", dead=2), services=["orders"]))
        history.add_backlog(count(2))
        await written(history)
        everything = await history.read(lambda rows: find_backlogs(rows, SHOWN, "", ""))
        mail = await history.read(lambda rows: find_backlogs(rows, SHOWN, "", "mail"))
        stock = await history.read(lambda rows: find_backlogs(rows, SHOWN, "stock", ""))
    assert ago(everything) == [5, 4, 2]
    told = [(each.waiting, each.failed, each.age, each.lag, each.dead) for each in mail]
    assert told == [(5, 1, 60.0, 7, 0), (0, 0, None, None, 2), (0, 0, None, None, 0)]
    assert [(each.waiting, each.lag) for each in stock] == [(2, None), (0, None)]  # it was silent in between


async def test_what_carries_survives_a_restart_and_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "PRUNING", 0.0)
    async with opened(tmp_path) as history:
        history.add_loads([load(each, waiting=1) for each in range(30, 2, -1)])
        history.add_backlog(BacklogRow(END - 3 * 86400, BacklogCount([], [], {})))
    async with opened(tmp_path, Keeping(days=1.0, figures=10)) as history:
        history.add_loads([load(2, waiting=1)])
        await written(history)
        points = await history.read(lambda rows: find_loads(rows, SHOWN, ""))
        left = await history.read(
            lambda rows: [
                rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("process_loads", "service_loads", "backlogs")
            ]
        )
    assert ago(points) == list(range(11, 1, -1))
    assert left == [10, 10, 0]


def digest(life="first", *, cpu=0.0, waiting=0, shed=0, loop_lag=0.0):
    loads = [ServiceLoad(service="stock", limit=32, inside=0, waiting=waiting, shed=shed)]
    return ProcessDigest(
        life=life, seen=0, lost=0, spans=[], operations=[], made=[], cpu=cpu, memory=7, loop_lag=loop_lag, loads=loads
    )


def test_ten_seconds_have_the_worst_of_ten_looks_and_all_that_was_turned_away_also_over_a_restart():
    loads = RecentLoads()
    told = [
        digest(cpu=100.0, shed=1000),
        digest(cpu=100.5, waiting=9, shed=1004, loop_lag=0.2),
        digest("second", cpu=0.3, shed=3),
        digest("second", cpu=0.4, shed=4),
    ]
    for number, each in enumerate(told):
        assert loads.add("main", 0, each, 50.0 + number, None) == []
    [rows] = loads.add("main", 0, digest("second", cpu=0.4, shed=4), 54.0, END)
    assert rows.process == ProcessLoadRow(END, 3.0, "main", 0, pytest.approx(0.2), 7, 0.2, ("stock",))
    assert rows.services == [ServiceLoadRow(END, "main", 0, "stock", 9, 8)]
    assert loads.add("main", 0, digest("second", cpu=0.4, shed=4), 55.0, END + KEPT)[0].services == []


def test_each_ten_seconds_end_once_and_every_point_of_a_chart_has_one():
    slots = Slots(1005.0)
    assert [slots.ended(each) for each in (1009.9, 1010.2, 1011.0, 1043.0)] == [None, 1010.0, None, 1040.0]
    for minutes in (1, 15, 60, 360, 7 * 1440):
        shown = ChartRange.of(minutes, 1_000_003.0)
        assert shown.width % KEPT == 0
        assert shown.until <= 1_000_003.0 - 3.9
        points = round((shown.until - shown.since) / shown.width)
        assert points <= 120
        assert all(before < after for before, after in pairwise(map(shown.end, range(points))))
        assert shown.end(points - 1) == shown.until
