"""How much of what it can carry a process carries: its event loop, and the calls that its services let in."""

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
    """A replica of a process: `loop_lag` is how long one turn of its event loop took, in seconds, at the last look."""

    process: str
    replica: int
    loop_lag: float
    services: list[ServiceLoad]
