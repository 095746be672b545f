"""The context of an RPC whose request is a stream, for two tasks: one reads the items while the other answers."""

from __future__ import annotations

import asyncio
from typing import Any

from meristem.transports.grpc.library import aio


class ItemsSource:
    """Lets one task at a time send what begins the answer.

    grpcio sends the headers with whatever is sent first, and breaks where a second task sends meanwhile: it takes them
    for sent when that has ended.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._begun: asyncio.Future[None] | None = None

    async def read(self) -> Any:
        """The bytes of the next item, or `aio.EOF`."""
        return await self._context.read()

    async def send_headers(self) -> None:
        """Begin the answer by its headers alone: `aio.UsageError` where it has begun, `aio.InternalError` at no client.

        Who is cancelled meanwhile leaves grpcio to end what it does.
        """
        if self._begun is not None:
            raise aio.UsageError("the answer has begun")
        self._begun = asyncio.ensure_future(self._headers())
        self._begun.add_done_callback(_retrieved)
        await asyncio.shield(self._begun)

    async def write(self, body: bytes) -> None:
        """Send a reply."""
        if self._begun is None:
            self._begun = asyncio.get_running_loop().create_future()
            try:
                await self._context.write(body)
            finally:
                self._begun.set_result(None)
            return
        await self.settle()
        await self._context.write(body)

    async def settle(self) -> None:
        """Wait until what begins the answer is sent; after that whatever ends it can be."""
        if self._begun is not None and not self._begun.done():
            await asyncio.wait({self._begun})

    async def _headers(self) -> None:
        await self._context.send_initial_metadata(())


def _retrieved(begun: asyncio.Future[None]) -> None:
    # Who waited may have been cancelled; what follows is told by itself that the client has gone.
    if not begun.cancelled():
        begun.exception()
