"""What a restarter keeps, as it sees it: how to start it, whether it lives, and the states that it goes through."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from meristem.errors import OperationError

if TYPE_CHECKING:
    from meristem.supervision.child import Child, Command


class StartError(OperationError):
    """What is run could not start at all; the message ends with its last lines."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class RunState(Enum):
    """What it does at this moment."""

    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    WAITING = "waiting"
    STOPPED = "stopped"


RUNNING: Final = (RunState.READY, RunState.SILENT)


class Restartable(Protocol):
    """What a restarter keeps. `generation` counts its starts; `successor` is one that starts beside its predecessor."""

    label: str
    address: str

    def command(self, generation: int, *, successor: bool) -> Command:
        """How to start it."""
        ...

    async def ready(self, generation: int) -> bool:
        """Whether it is ready."""
        ...

    async def lives(self, child: Child) -> bool:
        """Whether it gave a sign of life since this was asked last."""
        ...

    def admit(self, generation: int) -> None:
        """It is ready: let others find it."""
        ...

    def dismiss(self, generation: int) -> None:
        """It has ended: remove what it left."""
        ...
