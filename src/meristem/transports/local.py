"""The way to a service in the same process: only the wire disappears."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from meristem.contracts.isolation import isolator
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from meristem.contracts.call import Call, Handler
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)


def local(operation: Operation, handler: Handler) -> Handler:
    """Call `handler` in this process; request and reply are checked and separated as a wire would."""
    admit, separate = isolator(operation.request), isolator(operation.reply)

    if operation.stream:
        return _stream(operation, handler)

    async def call_here(call: Call) -> Any:
        call.request = admit(call.request)
        reply = await handler(call)
        try:
            return separate(reply)
        except CallError as error:
            raise _wrong_reply(operation, error) from None

    return call_here


def _wrong_reply(operation: Operation, error: CallError) -> CallError:
    logger.error("%s returned what its contract does not allow: %s", operation.label, error.message)
    return CallError(Code.INTERNAL, f"{operation.label} failed; its service's log says why")


def _stream(operation: Operation, handler: Handler) -> Handler:
    admit, separate = isolator(operation.request), isolator(operation.reply)

    async def call_here(call: Call) -> Any:
        call.request = admit(call.request)
        return _items(operation, await handler(call), separate)

    return call_here


async def _items(
    operation: Operation, items: AsyncGenerator[Any, None], separate: Callable[[Any], Any]
) -> AsyncGenerator[Any, None]:
    try:
        async for item in items:
            try:
                separated = separate(item)
            except CallError as error:
                raise _wrong_reply(operation, error) from None
            yield separated
    finally:
        await items.aclose()
