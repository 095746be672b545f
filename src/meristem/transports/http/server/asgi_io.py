"""Work for a client of the ASGI side: it ends when the client goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable

T = TypeVar("T")
BURST: Final = 32


class ClientGoneError(Exception):
    """The client has disconnected; nobody reads an answer."""


async def received(receive: Any, limit: int) -> bytes | None:
    """The body of the request, None for one of more than `limit` bytes; raises ClientGoneError."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        chunks.append(event["body"])
        size, more = size + len(event["body"]), event["more_body"]
        if size > limit:
            return None
    return b"".join(chunks)


async def attended(receive: Any, work: Awaitable[T]) -> T:
    """Await `work`, and cancel it when the client disconnects; raises ClientGoneError then.

    The body of the request must have been received.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))


async def fairly(replies: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The replies of a stream; one that never waits still lets others run, and its end is seen to.

    Use with `contextlib.aclosing`.
    """
    count = 0
    try:
        async for reply in replies:
            yield reply
            count += 1
            if count % BURST == 0:
                await asyncio.sleep(0)
    finally:
        if (close := getattr(replies, "aclose", None)) is not None:
            await close()


async def _disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
