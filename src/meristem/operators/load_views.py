"""How much of what it can carry a process carries, now and over time: its loop, its calls, and events that wait."""

from __future__ import annotations

from meristem.contracts.message import Message


class ServiceLoad(Message):
    """Calls of a service in one replica: those that are `inside`, of a `limit`, and those `waiting` to be let in.

    `shed` were turned away since the replica began.
    """

    service: str
    limit: int
    inside: int
    waiting: int
    shed: int


class ProcessLoad(Message):
    """A replica of a process; `loop_lag` is how late its event loop came to what was due, in seconds.

    That is the worst of the last two seconds.
    """

    process: str
    replica: int
    loop_lag: float
    services: list[ServiceLoad]


class LoadPoint(Message):
    """What replicas carried in the `seconds` that end at `time`, in seconds since 1970.

    `cpu` is what they used of one processor on the mean, `memory` in bytes, `loop_lag` the worst of all, in seconds.
    `waiting` is the most calls that waited at once to be let in, `shed` were turned away a second.
    """

    time: float
    seconds: float
    cpu: float | None
    memory: int | None
    loop_lag: float
    waiting: int = 0
    shed: float = 0.0


class ReplicaHistory(Message):
    """What one replica of a process carried; there is no point where it was away, or did not answer."""

    replica: int
    points: list[LoadPoint]


class BacklogPoint(Message):
    """Events that waited in the `seconds` that end at `time`, in seconds since 1970: the most of what was counted.

    Of those `waiting` in outboxes the last attempt `failed`; the oldest was published `age` seconds before, None where
    none waited. `lag` is what a broker had and subscribers not yet, None where no broker has anything for them.
    """

    time: float
    seconds: float
    waiting: int = 0
    failed: int = 0
    age: float | None = None
    lag: int | None = None
    dead: int = 0
