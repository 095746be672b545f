"""Changes of what runs, one at a time while it serves: what is under way, how far it is, and what became of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import CallError, Code
from meristem.operators.supervision_contract import ChangeView
from meristem.supervision.restartable import StartError
from meristem.system.system_status import ReloadStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.operators.supervision_contract import ChangeKind, ChangeState

logger = logging.getLogger(__name__)
KEPT: Final = 20
BROKEN_OFF: Final = "it was broken off"


class RunChange(msgspec.Struct):
    """What is to be done by `work`, and how far it is: `done` of `of` replicas; `said` is what is told before it."""

    kind: ChangeKind
    name: str
    of: int
    work: Callable[[RunChange], Awaitable[None]]
    said: str
    through: str
    replicas: int | None = None
    number: int = 0
    done: int = 0
    state: ChangeState = "running"
    problem: str = ""
    lasting: bool = False
    began: float = 0.0
    ended: float | None = None

    def same_as(self, other: RunChange) -> bool:
        """Whether the other one asks for the same: meanwhile there may be another number of replicas than there was."""
        return (self.kind, self.name, self.through) == (other.kind, other.name, other.through)

    def view(self) -> ChangeView:
        """As operators see it."""
        return ChangeView(
            number=self.number,
            kind=self.kind,
            name=self.name,
            state=self.state,
            done=self.done,
            of=self.of,
            began=self.began,
            ended=self.ended,
            problem=self.problem,
            replicas=self.replicas,
        )


class RunChanges:
    """Makes one change at a time; `changed` is called with each step, `say` gets lines about it.

    The work of one raises StartError where a part cannot start: the rest then keeps running as it was. `reload` tells
    of the last one that started everything anew.
    """

    def __init__(self, *, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.reload: ReloadStatus | None = None
        self.latest: deque[RunChange] = deque(maxlen=KEPT)
        self._say = say
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    def begin(self, change: RunChange) -> RunChange:
        """Begin it, unless it is the one that is under way; raises CallError where that is another one."""
        if self._ending:
            raise CallError(Code.UNAVAILABLE, "the system ends")
        if self._task is not None and not self._task.done():
            current = self.latest[0]
            if current.same_as(change):
                return current
            text = f"nothing was begun: {current.said} is under way; wait until that has ended"
            raise CallError(Code.FAILED_PRECONDITION, text)
        change.number = self.latest[0].number + 1 if self.latest else 1
        change.began = time.time()
        self.latest.appendleft(change)
        self._task = asyncio.get_running_loop().create_task(self._run(change), name=change.said)
        return change

    async def stop(self) -> None:
        """Break off what is under way, and begin nothing more."""
        self._ending = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, change: RunChange) -> None:
        self._tell(change, ended=False)
        try:
            await self._outcome(change)
        except asyncio.CancelledError:
            change.state, change.problem = "failed", BROKEN_OFF
            raise
        except Exception as error:
            # A bug of ours, or a disk that takes no more: nobody awaits this, and what runs goes on.
            logger.exception("%s failed", change.said)
            change.state, change.problem = "failed", str(error) or repr(error)
            self._say(f"{change.said} failed: {change.problem}")
        finally:
            change.ended = time.time()
            self._tell(change, ended=True)

    async def _outcome(self, change: RunChange) -> None:
        self._say(change.said)
        try:
            await change.work(change)
        except StartError as error:  # what is wrong with one would be wrong with all of them
            self._say(f"the rest keeps running as it was: {error}")
            change.state, change.problem, change.lasting = "failed", str(error), error.lasting
        else:
            change.state = "done"
            self._say(change.through)

    def _tell(self, change: RunChange, *, ended: bool) -> None:
        if change.kind == "restart" and not change.name:
            number = self.reload.number if self.reload is not None else 0
            if ended:
                self.reload = ReloadStatus(number, ended=True, problem=change.problem or None, lasting=change.lasting)
            else:
                self.reload = ReloadStatus(number + 1)
        self._changed()
