"""Which faults strike, in which order, whom, and for how long: a list that follows from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

SERVICES = ("rooms", "search", "users", "payments", "documents", "notifications", "reservations")
EDGE = "edge"
REPLICAS = 2


class Kind(Enum):
    """What strikes; the value is how people read it."""

    KILLED = "replica killed"
    STOPPED = "replica stopped for less than its lease"
    STOPPED_LONG = "replica stopped for longer than its lease, then resumed"
    HUNG = "replica stopped until it is replaced"
    SERVICE_KILLED = "both replicas of a service killed"
    AWAY = "service kept away"
    CUT = "replica cut off from everything but its own host's sockets"
    SERVICE_CUT = "both replicas of a service cut off"
    DATABASE_FAST = "PostgreSQL restarted, fast"
    DATABASE_CRASHED = "PostgreSQL restarted, immediate"
    SUPERVISOR = "supervisor killed and followed by another one"
    BUS_RESTARTED = "broker restarted"
    BUS_CRASHED = "broker killed, and started again on its disk"
    BUS_STOPPED = "broker stopped, then resumed"
    BUS_CUT = "broker cut off from everything"


WEIGHTS = {
    Kind.KILLED: 30,
    Kind.STOPPED: 14,
    Kind.STOPPED_LONG: 12,
    Kind.HUNG: 2,
    Kind.SERVICE_KILLED: 10,
    Kind.AWAY: 4,
    Kind.CUT: 14,
    Kind.SERVICE_CUT: 6,
    Kind.DATABASE_FAST: 5,
    Kind.DATABASE_CRASHED: 5,
    Kind.SUPERVISOR: 2,
    Kind.BUS_RESTARTED: 6,
    Kind.BUS_CRASHED: 8,
    Kind.BUS_STOPPED: 6,
    Kind.BUS_CUT: 8,
}
OF_BUS = frozenset({Kind.BUS_RESTARTED, Kind.BUS_CRASHED, Kind.BUS_STOPPED, Kind.BUS_CUT})
OF_NAMESPACES = frozenset({Kind.CUT, Kind.SERVICE_CUT, Kind.BUS_CUT})
OF_POSTGRESQL = frozenset({Kind.DATABASE_FAST, Kind.DATABASE_CRASHED})
# Seconds. A replica that is silent for about four has lost its lease; after thirty it is replaced.
LASTING = {
    Kind.STOPPED: (0.2, 2.5),
    Kind.STOPPED_LONG: (5.0, 9.0),
    Kind.AWAY: (6.0, 15.0),
    Kind.CUT: (2.0, 14.0),
    Kind.SERVICE_CUT: (2.0, 8.0),
    Kind.BUS_CRASHED: (0.0, 6.0),
    Kind.BUS_STOPPED: (2.0, 14.0),
    Kind.BUS_CUT: (2.0, 14.0),
}


class Fault(NamedTuple):
    """One fault: `service` is a process's name or empty, `replica` counts only where one replica is struck."""

    kind: Kind
    service: str
    replica: int
    seconds: float

    def __str__(self) -> str:
        whom = f" {self.service}" if self.service else ""
        return f"{self.kind.value}:{whom}" if self.service else self.kind.value


def kinds_for(*, postgresql: bool, namespaces: bool, bus: bool = False) -> list[Kind]:
    """The kinds that can strike here."""
    there = {OF_POSTGRESQL: postgresql, OF_NAMESPACES: namespaces, OF_BUS: bus}
    without = frozenset[Kind]().union(*(kinds for kinds, is_there in there.items() if not is_there))
    return [each for each in Kind if each not in without]


def schedule(seed: int, count: int, kinds: Sequence[Kind]) -> list[Fault]:
    """`count` faults, of each kind its share and at least one as far as they go, in an order of the seed's."""
    rng = random.Random(f"faults {seed}")
    chosen = list(kinds)[:count]
    chosen += rng.choices(list(kinds), [WEIGHTS[each] for each in kinds], k=count - len(chosen))
    rng.shuffle(chosen)
    return [_fault(each, rng) for each in chosen]


def _fault(kind: Kind, rng: random.Random) -> Fault:
    # The edge has no database, and its sockets are the host's.
    whoever = SERVICES if kind in OF_NAMESPACES | {Kind.AWAY, Kind.HUNG} else (*SERVICES, EDGE)
    service, replica = rng.choice(whoever), rng.randrange(REPLICAS)
    shortest, longest = LASTING.get(kind, (0.0, 0.0))
    seconds = round(rng.uniform(shortest, longest), 1)
    if kind in OF_POSTGRESQL | OF_BUS or kind is Kind.SUPERVISOR:
        return Fault(kind, "", 0, seconds)
    return Fault(kind, service, replica, seconds)
