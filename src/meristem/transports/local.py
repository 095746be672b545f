"""The way to a service in the same process: only the wire disappears."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from meristem.contracts.isolation import Isolation, isolator
from meristem.errors import CallError, Code
from meristem.resilience.deadline import deadline_middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from meristem.contracts.call import Call, Handler
    from meristem.contracts.operation import Operation
    from meristem.resilience.deadline import Deadlines

logger = logging.getLogger(__name__)


def local(operation: Operation, handler: Handler, deadlines: Deadlines) -> Handler:
    """Call `handler` in this process, within its deadline; request and reply are checked and separated as by a wire."""
    if operation.stream:
        return deadline_middleware(deadlines, operation)(_stream(operation, handler))
    isolation = Isolation(isolator(operation.request), isolator(operation.reply, partial(_wrong_reply, operation)))
    return deadline_middleware(deadlines, operation, isolation)(handler)


def _wrong_reply(operation: Operation, error: CallError) -> CallError:
    logger.error("%s returned what its contract does not allow: %s", operation.label, error.message)
    return CallError(Code.INTERNAL, f"{operation.label} failed; its service's log says why")


def _stream(operation: Operation, handler: Handler) -> Handler:
    admit, separate = isolator(operation.request), isolator(operation.reply, partial(_wrong_reply, operation))

    async def call_here(call: Call) -> Any:
        call.request = admit(call.request)
        return _items(await handler(call), separate)

    return call_here


async def _items(items: AsyncGenerator[Any, None], separate: Callable[[Any], Any]) -> AsyncGenerator[Any, None]:
    try:
        async for item in items:
            yield separate(item)
    finally:
        await items.aclose()
