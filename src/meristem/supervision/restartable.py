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


FAILING: Final = "failing"
"""How people are told of what ends again and again, whatever it does at this moment."""


NO_SIGN: Final = "it gave no sign of life"


class Restartable(Protocol):
    """What a restarter keeps. `generation` counts its starts; `successor` is one that starts beside its predecessor.

    One that `tells` answers at its address for its health and its figures, as processes of this system do. `silence`
    says what is the matter with one that does not live.
    """

    label: str
    silence: str
    address: str
    tells: bool

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

    def withdraw(self, generation: int) -> None:
        """It ends soon, and others do its work: let nobody find it any more."""
        ...

    def hold(self, generation: int) -> None:
        """It has ended and is started again soon: let those who call it wait for that, for a while."""
        ...

    def dismiss(self, generation: int) -> None:
        """It has ended: remove what it left."""
        ...
