"""What a running system writes down for those who look from outside: what runs, how it fares and where it answers."""

from __future__ import annotations

import msgspec


class ReplicaStatus(msgspec.Struct, frozen=True):
    """One process or program of a running system: `state` is starting, ready, silent, waiting, failing or stopped.

    `since` is when this state began, seconds since 1970; `address` is where it answers.
    """

    process: str
    replica: int
    pid: int | None
    state: str
    restarts: int
    since: float
    address: str | None = None


class ReloadStatus(msgspec.Struct, frozen=True):
    """The last reload of a run, counted from 1: whether it has ended, and what kept it from going through.

    A problem that is `lasting` stays until somebody mends it.
    """

    number: int
    ended: bool = False
    problem: str | None = None
    lasting: bool = False


class SystemStatus(msgspec.Struct, frozen=True):
    """What a running system tells the command line: who it is and where it answers the public and its operators.

    `external` are the systems of other teams that it calls, and their addresses. One that is `alone` has no supervisor;
    another one runs by the file `placement`.
    """

    pid: int
    address: str
    started: float
    replicas: tuple[ReplicaStatus, ...] = ()
    operators: tuple[str, ...] = ()
    reload: ReloadStatus | None = None
    external: dict[str, str] = {}
    alone: bool = False
    placement: str | None = None

    @property
    def operator_socket(self) -> str | None:
        """The operators' Unix socket, as `unix:PATH`, at which nobody has to sign in; None where there is none."""
        return next((each for each in self.operators if each.startswith("unix:")), None)
