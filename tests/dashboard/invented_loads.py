"""What processes of a system that was never run carried, and which events waited: with a busy time, and with gaps."""

from __future__ import annotations

import random
from math import sin

from meristem.operators.history_slots import ChartRange
from meristem.operators.load_views import BacklogPoint, LoadPoint, ReplicaHistory
from meristem.operators.operator_contract import ProcessView

AWAY = range(52, 58)  # points in which nothing ran
LATER = 80  # the point at which the second replica came
BUSY = range(88, 104)


def load_points(now: float, minutes: int, replicas: int, *, busy: bool, seed: int = 3) -> list[LoadPoint]:
    dice, shown = random.Random(seed), ChartRange.of(minutes, now)
    found = []
    for at in range(round((shown.until - shown.since) / shown.width)):
        if at in AWAY:
            continue
        strain = busy and at in BUSY
        found.append(
            LoadPoint(
                time=shown.end(at),
                seconds=shown.width,
                cpu=replicas * (0.08 + 0.04 * sin(at / 9) + dice.uniform(0, 0.02)) * (4 if strain else 1),
                memory=int(replicas * (82e6 + (at % 52) * 3e5 + dice.uniform(0, 1e6))),
                loop_lag=dice.uniform(0.0006, 0.003) + (0.34 if at in (20, 91) else 0.03 * strain),
                waiting=dice.randrange(4, 118) if strain else 0,
                shed=dice.uniform(0, 9) if strain and at > BUSY.start + 4 else 0.0,
            )
        )
    return found


def replica_points(now: float, minutes: int, replicas: list[ProcessView]) -> list[ReplicaHistory]:
    found = []
    for each in replicas:
        points = load_points(now, minutes, 1, busy=each.name == "payments", seed=each.replica)
        since = points[0].time + LATER * points[0].seconds if each.replica else 0.0
        if not each.is_program:
            found.append(
                ReplicaHistory(replica=each.replica, points=[point for point in points if point.time >= since])
            )
    return found


def backlog_points(now: float, minutes: int, *, busy: bool) -> list[BacklogPoint]:
    dice, shown = random.Random(5), ChartRange.of(minutes, now)
    found = []
    for at in range(round((shown.until - shown.since) / shown.width)):
        if at in AWAY:
            continue
        waiting = (at - BUSY.start) * 37 if busy and at >= BUSY.start else dice.randrange(0, 3)
        age = (at - BUSY.start) * shown.width if busy and at > BUSY.start else dice.uniform(0, 0.4) if waiting else None
        found.append(
            BacklogPoint(
                time=shown.end(at), seconds=shown.width, waiting=waiting, failed=waiting // 30, age=age,
                lag=dice.randrange(0, 60), dead=(at // 15) if busy else 0,
            )
        )  # fmt: skip
    return found
