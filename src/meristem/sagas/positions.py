"""Where a step stands in its saga: numbered in the order of the code, in each concurrent branch on its own.

A branch (a task that `asyncio.gather` or a TaskGroup starts) counts its own steps, so that a replay gives every
step the position it had, however the answers were timed: `0`, `1`, and in the branches `0/0`, `0/1`, `1/0`.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Final

from meristem.errors import MisuseError


class Branch:
    """The counters of one task of a saga's function."""

    __slots__ = ("_branches", "_draws", "_prefix", "_steps", "saga_id", "task")

    def __init__(self, saga_id: str, task: asyncio.Task[Any] | None, prefix: str = "") -> None:
        self.saga_id = saga_id
        self.task = task
        self._prefix = prefix
        self._steps = self._branches = self._draws = 0

    def step(self) -> str:
        """The position of the next step."""
        self._steps += 1
        return f"{self._prefix}{self._steps - 1}"

    def draw(self) -> str:
        """A name for the next random value."""
        self._draws += 1
        return f"{self._prefix}{self._draws - 1}"

    def branch(self, task: asyncio.Task[Any] | None) -> Branch:
        """The counters of a task that this one started."""
        self._branches += 1
        return Branch(self.saga_id, task, f"{self._prefix}{self._branches - 1}/")


_BRANCH: Final[ContextVar[Branch | None]] = ContextVar("meristem.saga.branch", default=None)


def enter(saga_id: str) -> None:
    """Make the running task the trunk of a saga."""
    _BRANCH.set(Branch(saga_id, asyncio.current_task()))


def here(saga_id: str) -> Branch:
    """The branch of the running task; raises MisuseError outside the function of this saga."""
    branch = _BRANCH.get()
    if branch is None or branch.saga_id != saga_id:
        raise MisuseError("use `flow` only in the function of its saga and the tasks it awaits, not inside a step")
    task = asyncio.current_task()
    if branch.task is not task:
        branch = branch.branch(task)
        _BRANCH.set(branch)
    return branch
