"""What operators ask of who runs the processes: to start one anew, or to run more or fewer of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Protocol, TypeAlias

from msgspec import Meta

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import idempotent, operation, safe

MOST_REPLICAS: Final = 64
ChangeKind: TypeAlias = Literal["restart", "scale"]
ChangeState: TypeAlias = Literal["running", "done", "failed"]


class ChangeView(Message):
    """What is or was changed of what runs, counted from 1; `name` is empty where it is all of it.

    `done` of `of` replicas are through; `replicas` is how many there are to be where their number changes. `problem`
    says why it failed: the rest then runs as it did before. Times are in seconds since 1970.
    """

    number: int
    kind: ChangeKind
    name: str
    state: ChangeState
    done: int
    of: int
    began: float
    ended: float | None = None
    problem: str = ""
    replicas: int | None = None


class PlacedPart(Message):
    """A process or program: so many `replicas` run, `placed` stand in the placement.

    `most` is how many it may have; where it can't be scaled at all that is what it has, and `fixed` says why.
    """

    name: str
    is_program: bool
    replicas: int
    placed: int
    most: int
    fixed: str = ""


class SupervisionView(Message):
    """What can be restarted and scaled, and the latest changes, newest first; `refusal` says why nothing can be."""

    refusal: str
    parts: list[PlacedPart]
    changes: list[ChangeView]


class ProcessControl(Contract, Protocol, package="meristem.operator.v1"):
    """Changes what runs, one change at a time and without losing a request; the placement file stays as it is."""

    @safe
    async def supervision(self) -> SupervisionView:
        """What can be changed, and how changes go."""
        ...

    @operation
    async def restart(self, process: str) -> ChangeView:
        """Start each replica of a process anew, one after the other, the new one beside the old one.

        It goes on after the answer. Refused (`failed_precondition`) while something else is changed.
        """
        ...

    @operation
    async def restart_program(self, program: str) -> ChangeView:
        """As `restart`, for a program: each replica ends before it is started again, for its port is its own."""
        ...

    @operation
    async def restart_all(self) -> ChangeView:
        """As `restart`, for all processes and programs, those first that others call."""
        ...

    @idempotent
    async def scale(self, process: str, replicas: Annotated[int, Meta(ge=1, le=MOST_REPLICAS)]) -> ChangeView:
        """Run so many replicas of a process until the run ends: new ones are ready before others find them.

        Those that are too many finish what they have, when nobody asks them any more.
        """
        ...
