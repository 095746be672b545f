"""Where a step stands in its saga: numbered in the order of the code, in each concurrent branch on its own.

A branch (of `flow.gather`, or a task that the function starts by itself) counts its own steps, so that a replay gives
every step the position it had, however the answers were timed: `0`, `1`, and in the branches `0/0`, `0/1`, `1/0`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final

from meristem.errors import MisuseError


class Branch:
    """The counters of one task of a saga's function."""

    __slots__ = ("branches", "draws", "prefix", "saga_id", "steps", "task")

    def __init__(self, saga_id: str, task: asyncio.Task[Any] | None, prefix: str = "") -> None:
        self.saga_id = saga_id
        self.task = task
        self.prefix = prefix
        self.steps = self.branches = self.draws = 0


_BRANCH: Final[ContextVar[Branch | None]] = ContextVar("meristem.saga.branch", default=None)


def enter(saga_id: str) -> None:
    """Make the running task the trunk of a saga."""
    _BRANCH.set(Branch(saga_id, asyncio.current_task()))


def next_position(saga_id: str) -> str:
    """The position of the running task's next step; MisuseError outside the function of this saga."""
    branch = _BRANCH.get()
    if branch is None or branch.saga_id != saga_id or branch.task is not asyncio.current_task():
        branch = _entered(branch, saga_id)
    branch.steps += 1
    return f"{branch.prefix}{branch.steps - 1}"


def next_draw(saga_id: str) -> str:
    """A name for the running task's next random value; MisuseError outside the function of this saga."""
    branch = _BRANCH.get()
    if branch is None or branch.saga_id != saga_id or branch.task is not asyncio.current_task():
        branch = _entered(branch, saga_id)
    branch.draws += 1
    return f"{branch.prefix}{branch.draws - 1}"


def reserve(saga_id: str, count: int) -> list[Branch]:
    """Branches of the running task for work that begins later: their places are set now, whenever each begins."""
    parent = _BRANCH.get()
    if parent is None or parent.saga_id != saga_id or parent.task is not asyncio.current_task():
        parent = _entered(parent, saga_id)
    first = parent.branches
    parent.branches += count
    return [Branch(saga_id, None, f"{parent.prefix}{number}/") for number in range(first, first + count)]


def enter_branch(branch: Branch) -> None:
    """Make the running task the one that a branch was reserved for."""
    branch.task = asyncio.current_task()
    _BRANCH.set(branch)


def timed_out(tasks: Iterable[asyncio.Task[Any]]) -> bool:
    """Whether a limit of asyncio's own cancelled the running task; `tasks` are those of the saga's function.

    The trunk is cancelled by nothing else, but for a TaskGroup of which a branch failed. A branch may be cancelled by
    its saga as it likes; that `asyncio.wait_for` did it is seen at the task that waits for it (Python 3.11).
    """
    if any(task.done() and not task.cancelled() and task.exception() for task in tasks):
        return False
    branch = _BRANCH.get()
    is_trunk = branch is not None and branch.task is asyncio.current_task() and not branch.prefix
    return is_trunk or any(_is_in_wait_for(task) for task in tasks)


def _is_in_wait_for(task: asyncio.Task[Any]) -> bool:
    step: Any = task.get_coro()
    while step is not None:
        if getattr(step, "cr_code", None) is asyncio.wait_for.__code__:
            return True
        step = getattr(step, "cr_await", None)
    return False


def _entered(parent: Branch | None, saga_id: str) -> Branch:
    """The counters of a task that asks for the first time: it inherited those of the task that started it."""
    if parent is None or parent.saga_id != saga_id:
        raise MisuseError("use `flow` only in the function of its saga and the tasks it awaits, not inside a step")
    # The loop runs new tasks in the order of their start, so they get the same numbers in a replay.
    parent.branches += 1
    branch = Branch(saga_id, asyncio.current_task(), f"{parent.prefix}{parent.branches - 1}/")
    _BRANCH.set(branch)
    return branch
