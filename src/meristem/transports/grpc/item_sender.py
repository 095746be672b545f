"""Sends the items of a request while its answer is awaited."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import CallError
from meristem.transports.grpc.library import aio
from meristem.transports.grpc.status import refusal_bytes
from meristem.transports.item_sending import ItemSender

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.contracts.items import Items
    from meristem.contracts.operation import Operation

ENDED: Final = (aio.AioRpcError, aio.InternalError, aio.UsageError, asyncio.InvalidStateError)
BROKEN_OFF: Final = b"\x06broken off"
"""What is sent in place of an item that the caller failed to make: no message, whatever protobuf reads it (tag 6 is of
field 0). So a server of another make refuses the call, and ours tells the callee."""

UNFIT: Final = b"\x06unfit"
"""What stands, before its refusal, in place of an item that is not as declared: the callee meets that."""


class GrpcItemSender(ItemSender[Any]):
    """Sends items as messages of a call of grpcio."""

    def __init__(self, items: Items, write: Callable[[Any], bytes], operation: Operation) -> None:
        super().__init__(items)
        self._write = write
        self._operation = operation

    async def finish(self, sink: Any) -> None:
        with contextlib.suppress(*ENDED):  # its end is told to who waits for the answer
            if self.failure is not None:
                await _put(sink, BROKEN_OFF)
            await sink.done_writing()

    async def send_all(self, sink: Any) -> None:
        async for item in self.items:
            is_last = False
            try:
                body = self._write(item)
            except CallError as error:
                body, is_last = UNFIT + refusal_bytes(self._operation, error), True
            try:
                await _put(sink, body)
            except ENDED:
                return
            if is_last:
                return


async def _put(sent: Any, body: bytes) -> None:
    """Send a message, as `sent.write` does, but leave the status alone.

    Where the server has answered before it took all items, `write` would replace its status by one of an internal
    error, if it is the first to learn of it.
    """
    await sent.wait_for_connection()
    await sent._cython_call.send_serialized_message(body)  # noqa: SLF001
