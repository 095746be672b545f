"""The service's end of a call that lasts: each step of its method runs in variables of the call's own."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from contextvars import Context as Variables
from typing import TYPE_CHECKING, Any

from meristem.context import CURRENT
from meristem.contracts.call import CONNECTOR, compose
from meristem.services.permitted import permitted
from meristem.variables import END, awaited, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from meristem.context import Context
    from meristem.contracts.call import Call, Connector, Handler, Middleware
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)


def answer_lasting(
    operation: Operation,
    take: Callable[[Any], Any],
    around: Iterable[Middleware],
    clean: Variables,
    enter: Callable[[Call], None],
) -> Handler:
    """All that is done around a method that takes or gives a stream, in a copy of the `clean` variables."""
    handler = compose((_beginning if operation.stream else _asking)(take), around)

    async def answered(call: Call) -> Any:
        enter(call)
        variables = clean.copy()
        variables.run(_surround, call.context, CONNECTOR.get())
        try:
            reply = await within(variables, awaited(handler(call)))
            return _items(operation, variables, reply) if operation.stream else reply
        except (Exception, CancelledError) as error:
            failure = variables.run(permitted, operation, error)
        raise failure

    return answered


def _surround(context: Context, connector: Connector | None) -> None:
    """Set what the framework itself keeps in variables; to be run in those of the work."""
    CURRENT.set(context)
    CONNECTOR.set(connector)


def _beginning(take: Callable[[Any], Any]) -> Handler:
    async def begin(call: Call) -> Any:
        return take(call.request)

    return begin


def _asking(take: Callable[[Any], Any]) -> Handler:
    async def ask(call: Call) -> Any:
        return await take(call.request)

    return ask


async def _items(operation: Operation, variables: Variables, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """A generator's steps run in their consumer's variables, where what it sets would stay: it is given its own."""
    failure: BaseException | None = None
    try:
        while failure is None:
            try:
                item = await within(variables, awaited(anext(items, END)))
            except (Exception, CancelledError) as error:
                failure = variables.run(permitted, operation, error)
                continue
            if item is END:
                return
            yield item
    finally:
        await _close(operation, variables, items)
    raise failure


async def _close(operation: Operation, variables: Variables, items: AsyncIterator[Any]) -> None:
    """Let the producer clean up; nobody waits for what it may still have to say."""
    close = getattr(items, "aclose", None)
    if close is None:
        return
    try:
        await within(variables, awaited(close()))
    except Exception:
        variables.run(logger.exception, "%s failed while its stream was closed", operation.label)
