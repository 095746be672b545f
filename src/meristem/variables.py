"""Work that the task of another awaits: with context variables of its own, and left to itself when it is overdue."""

from __future__ import annotations

import operator
import types
from asyncio import CancelledError, current_task
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Callable, Coroutine, Generator
    from contextvars import Context as Variables

    Steps = Coroutine[Any, Any, Any] | Generator[Any, Any, Any]


Result = TypeVar("Result")


class Due(Protocol):
    """A moment at which work is to end."""

    @property
    def fired(self) -> bool:
        """Whether it has come."""
        ...


Leave: TypeAlias = "Callable[[Coroutine[Any, Any, Any]], object]"
"""Takes what is left of work that is overdue, to run it in a task of its own."""

END: Final = object()
"""What `next` gives at the end of work that leaves its answer beside it."""


_TAKEN_OVER: Final[WeakSet[Task[Any]]] = WeakSet()  # tasks that go on with work that was cancelled in another one


def is_cancelled(error: BaseException) -> bool:
    """Whether somebody cancelled the running task, which `error` tells; else its work met the end of another task."""
    if not isinstance(error, CancelledError):
        return False
    task = current_task()
    return task is None or task.cancelling() > 0 or task in _TAKEN_OVER


async def awaited(work: Awaitable[Result]) -> Result:
    """Anything that can be awaited, as a coroutine."""
    return await work


async def _cancelled_before(work: Awaitable[Result]) -> Result:
    """What is left of work that was cancelled in another task, so that this one knows it, too."""
    task = current_task()
    assert task is not None
    _TAKEN_OVER.add(task)
    return await work


async def attended(work: Awaitable[Result], due: Due, leave: Leave) -> Result:
    """Await `work` until it is cancelled at `due`; if it does not end then, `leave` gets what is left of it."""
    answer: list[Result] = []
    steps = told_beside(work, answer)
    if (waiting := next(steps.__await__(), END)) is not END:  # mostly the first step is all of it
        await resumed(None, steps, waiting, due, leave)
    return answer[0]


async def told_beside(work: Awaitable[Result], answer: list[Result]) -> None:
    """An end without a value is told to `next` by no exception, which would cost as much as four awaits."""
    answer.append(await work)


async def within(variables: Variables, work: Coroutine[Any, Any, Any]) -> Any:
    """Await `work` with `variables`: what it sets there stays there, and it sees none of its caller's.

    It still runs in the task that awaits this, so that cancelling reaches it as it does any other work.
    """
    try:
        waiting = variables.run(work.send, None)
    except StopIteration as end:
        return end.value
    return await resumed(variables, work, waiting)


@types.coroutine
def resumed(
    variables: Variables | None,
    work: Steps,
    waiting: Any,
    due: Due | None = None,
    leave: Leave | None = None,
) -> Generator[Any, Any, Any]:
    """As `within`, for work whose first step has been taken, with `variables` if given, and which waits for `waiting`.

    Work that is cancelled once `due` has come, and waits again instead of ending, is overdue: what is left of it goes
    to `leave`, which runs it in a task of its own, and who awaits it is cancelled at once.
    """
    # `yield from` by hand: each step of the work runs inside `variables`, what it waits for is waited for outside.
    run: Callable[..., Any] = operator.call if variables is None else variables.run
    step: Callable[[Any], Any]
    while True:
        cancelled: CancelledError | None = None
        try:
            step, given = work.send, (yield waiting)
        # The task that awaited this is thrown away: the work must end in its own variables as well.
        except GeneratorExit:
            run(work.close)
            raise
        except BaseException as error:
            step, given = work.throw, error
            if isinstance(error, CancelledError):
                cancelled = error
        try:
            waiting = run(step, given)
        except StopIteration as end:
            return end.value
        if cancelled is not None and leave is not None and due is not None and due.fired:
            leave(_cancelled_before(resumed(variables, work, waiting)))
            raise cancelled
