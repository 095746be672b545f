"""Context variables of its own for a piece of work that the task of another awaits."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from meristem.context import CURRENT
from meristem.contracts.call import CONNECTOR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator
    from contextvars import Context as Variables

    from meristem.context import Context
    from meristem.contracts.call import Connector


def surround(context: Context, connector: Connector | None) -> None:
    """Set what the framework itself keeps in variables; to be run in those of the work."""
    CURRENT.set(context)
    CONNECTOR.set(connector)


async def awaited(work: Awaitable[Any]) -> Any:
    """Anything that can be awaited, as a coroutine."""
    return await work


@types.coroutine
def within(variables: Variables, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await `work` with `variables`: what it sets there stays there, and it sees none of its caller's.

    It still runs in the task that awaits this, so that cancelling reaches it as it does any other work.
    """
    # `yield from` by hand: each step of the work runs inside `variables`, what it waits for is waited for outside.
    step, given = work.send, None
    while True:
        try:
            waiting = variables.run(step, given)
        except StopIteration as end:
            return end.value
        try:
            step, given = work.send, (yield waiting)
        # The task that awaited this is thrown away: the work must end in its own variables as well.
        except GeneratorExit:
            variables.run(work.close)
            raise
        except BaseException as error:
            step, given = work.throw, error
