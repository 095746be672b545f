"""Context variables of its own for a piece of work that the task of another awaits."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator
    from contextvars import Context as Variables


async def awaited(work: Awaitable[Any]) -> Any:
    """Anything that can be awaited, as a coroutine."""
    return await work


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
def resumed(variables: Variables, work: Coroutine[Any, Any, Any], waiting: Any) -> Generator[Any, Any, Any]:
    """As `within`, for work whose first step has been taken there, and which waits for `waiting`."""
    # `yield from` by hand: each step of the work runs inside `variables`, what it waits for is waited for outside.
    step: Callable[[Any], Any]
    while True:
        try:
            step, given = work.send, (yield waiting)
        # The task that awaited this is thrown away: the work must end in its own variables as well.
        except GeneratorExit:
            variables.run(work.close)
            raise
        except BaseException as error:
            step, given = work.throw, error
        try:
            waiting = variables.run(step, given)
        except StopIteration as end:
            return end.value
