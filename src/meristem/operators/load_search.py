"""Finds in the history what replicas carried and which events waited; where nobody was there, there is no point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.operators.history_loads import BacklogCount
from meristem.operators.history_slots import POINT, WITHIN
from meristem.operators.load_views import BacklogPoint, LoadPoint, ReplicaHistory

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from meristem.operators.history_slots import ChartRange

HAS: Final = " AND instr(' ' || services || ' ', ' ' || :service || ' ') > 0"
_EACH: Final = f"""
SELECT {POINT} AS point, replica, sum(cpu * seconds) / sum(seconds) AS cpu, avg(memory) AS memory,
    max(loop_lag) AS loop_lag
FROM process_loads WHERE {WITHIN}"""  # noqa: S608 - of this module's own pieces
_SUM: Final = "SELECT point, sum(cpu) AS cpu, sum(memory) AS memory, max(loop_lag) AS loop_lag FROM"
_AT_ONCE: Final = (
    f"SELECT {POINT} AS point, sum(waiting) AS waiting, sum(shed) AS shed FROM service_loads WHERE {WITHIN}"  # noqa: S608
)
_decode: Final = msgspec.json.Decoder(BacklogCount).decode


def points_alive(connection: sqlite3.Connection, shown: ChartRange, service: str) -> set[int]:
    """The points in which any replica was there, one with that service where it is named."""
    text = f"SELECT DISTINCT {POINT} AS point FROM process_loads WHERE {WITHIN}{HAS if service else ''}"  # noqa: S608
    return {row["point"] for row in connection.execute(text, {**shown.values, "service": service})}


def find_loads(connection: sqlite3.Connection, shown: ChartRange, service: str) -> list[LoadPoint]:
    """What the replicas that have a service carried together; all replicas where none is named."""
    values = {**shown.values, "service": service}
    each = f"{_EACH}{HAS if service else ''} GROUP BY point, process, replica"
    carried = connection.execute(f"{_SUM} ({each}) GROUP BY point ORDER BY point", values)
    # The most of all replicas at once, of these seconds: not the sum of what were different moments.
    of = " AND service = :service" if service else ""
    at_once = f"{_AT_ONCE}{of} GROUP BY time"
    most = f"SELECT point, max(waiting) AS waiting, sum(shed) AS shed FROM ({at_once}) GROUP BY point"  # noqa: S608
    queued = {row["point"]: row for row in connection.execute(most, values)}
    return [_point(shown, row, queued.get(row["point"])) for row in carried]


def find_replicas(connection: sqlite3.Connection, shown: ChartRange, process: str) -> list[ReplicaHistory]:
    """What each replica of a process carried."""
    values = {**shown.values, "process": process}
    at_once = f"{_AT_ONCE} AND process = :process GROUP BY time, replica".replace("SELECT", "SELECT replica,", 1)
    most = f"SELECT replica, point, max(waiting) AS waiting, sum(shed) AS shed FROM ({at_once}) GROUP BY replica, point"  # noqa: S608
    queued = {(row["replica"], row["point"]): row for row in connection.execute(most, values)}
    found: dict[int, list[LoadPoint]] = {}
    text = f"{_EACH} AND process = :process GROUP BY replica, point ORDER BY replica, point"
    for row in connection.execute(text, values):
        own = found.setdefault(row["replica"], [])
        own.append(_point(shown, row, queued.get((row["replica"], row["point"]))))
    return [ReplicaHistory(replica=replica, points=points) for replica, points in found.items()]


def _point(shown: ChartRange, row: Any, queued: Any) -> LoadPoint:
    return LoadPoint(
        time=shown.end(row["point"]),
        seconds=shown.width,
        cpu=row["cpu"],
        memory=None if row["memory"] is None else round(row["memory"]),
        loop_lag=row["loop_lag"],
        waiting=0 if queued is None else queued["waiting"],
        shed=0.0 if queued is None else queued["shed"] / shown.width,
    )


def find_backlogs(
    connection: sqlite3.Connection, shown: ChartRange, service: str, subscriber: str
) -> list[BacklogPoint]:
    """Which events waited, of those that a service published and a subscriber hears; of all where none is named."""
    text = f"SELECT {POINT} AS point, told FROM backlogs WHERE {WITHIN} ORDER BY time"  # noqa: S608 - of own pieces
    found: dict[int, BacklogPoint] = {}
    for row in connection.execute(text, shown.values):
        told = _decode(row["told"])
        if service and service not in told.services:
            continue
        now = _backlog(told, shown.end(row["point"]), shown.width, service, subscriber)
        known = found.get(row["point"])
        found[row["point"]] = now if known is None else _most(known, now)
    return list(found.values())


def _backlog(told: BacklogCount, time: float, seconds: float, service: str, subscriber: str) -> BacklogPoint:
    owed = [each for each in told.owed if service in ("", each.service) and subscriber in ("", each.subscriber)]
    lags = [] if service else [lag for name, lag in told.lags.items() if subscriber in ("", name)]
    return BacklogPoint(
        time=time,
        seconds=seconds,
        waiting=sum(each.waiting for each in owed),
        failed=sum(each.failed for each in owed),
        age=max((each.age for each in owed if each.age is not None), default=None),
        lag=sum(lags) if lags else None,
        dead=sum(each.dead for each in owed),
    )


def _most(one: BacklogPoint, other: BacklogPoint) -> BacklogPoint:
    return BacklogPoint(
        time=one.time,
        seconds=one.seconds,
        waiting=max(one.waiting, other.waiting),
        failed=max(one.failed, other.failed),
        age=_larger((one.age, other.age)),
        lag=_larger((one.lag, other.lag)),
        dead=max(one.dead, other.dead),
    )


def _larger(values: Iterable[Any]) -> Any:
    return max((each for each in values if each is not None), default=None)
