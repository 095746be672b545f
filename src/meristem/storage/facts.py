"""What happened to reads that may be stale, emitted to observers: metrics, logs, tests."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

import msgspec


class Reason(Enum):
    """Why a read that may be stale went to the primary."""

    COLD = "cold"
    """Nothing was known of how old the replicas are: such reads had paused."""
    STALE = "stale"
    """No replica was as young as the operation wants it."""
    WRITTEN = "written"
    """No replica had what the caller has written, or it isn't known up to where that is."""
    AWAY = "away"
    """No replica answered."""
    CONFLICT = "conflict"
    """The replicas cancelled it, since replay was in conflict with it."""
    REFUSED = "refused"
    """A replica can't run the statement."""


class ReplicaRead(msgspec.Struct, frozen=True):
    """A replica has answered a read."""

    service: str
    server: str


class PrimaryRead(msgspec.Struct, frozen=True):
    """A read that might have gone to a replica went to the primary."""

    service: str
    reason: Reason


class ReplicaAway(msgspec.Struct, frozen=True):
    """A replica gets no reads until it has been seen sound again."""

    service: str
    server: str
    problem: str


class ReplicaBack(msgspec.Struct, frozen=True):
    """A replica gets reads from now on."""

    service: str
    server: str


ReplicaFact: TypeAlias = ReplicaRead | PrimaryRead | ReplicaAway | ReplicaBack
OnReplicaFact: TypeAlias = Callable[[ReplicaFact], None]
