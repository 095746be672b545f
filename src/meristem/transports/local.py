"""The way to a service in the same process: only the wire disappears."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from meristem.contracts.isolation import Isolation, isolator
from meristem.contracts.undeclared import internal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from meristem.contracts.call import Call, Handler
    from meristem.contracts.operation import Operation
    from meristem.errors import CallError

logger = logging.getLogger(__name__)


def isolation_of(operation: Operation) -> Isolation:
    """Checks and separates a unary operation's request and reply as a wire would."""
    return Isolation(isolator(operation.request, _refused), isolator(operation.reply, partial(_wrong_reply, operation)))


def _refused(error: CallError) -> CallError:
    error.private = True  # it has reached the caller for which its text was
    return error


def _wrong_reply(operation: Operation, error: CallError) -> CallError:
    logger.error("%s returned what its contract does not allow: %s", operation.label, error.message)
    return _refused(internal(operation.label))


def local_stream(operation: Operation, handler: Handler) -> Handler:
    """Call the `handler` of a stream in this process; request and replies are checked and separated."""
    admit, separate = isolation_of(operation)

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
