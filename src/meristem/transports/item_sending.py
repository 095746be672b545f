"""A request that is a stream: its items are sent while the answer is awaited, whatever wire carries them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from meristem.errors import CallError, Code, Fault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from meristem.contracts.items import Items

logger = logging.getLogger(__name__)
GRACE: Final = 1.0  # seconds for an iterator to clean up
SinkT = TypeVar("SinkT")


class ItemSender(Generic[SinkT]):
    """Takes one item after the other, no faster than the server reads them; a wire says how they are written.

    It works in a task of its own, for the server may answer meanwhile. `failure` is what the caller's iterator raised:
    the callee is told that the items broke off, and the caller gets the error itself.
    """

    def __init__(self, items: Items) -> None:
        self.failure: BaseException | None = None
        self.items = items
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def start(self, sink: SinkT, label: str) -> None:
        """Begin to send; the caller's iterator runs in a copy of the variables of who calls this."""
        self._task = asyncio.get_running_loop().create_task(self._send(sink), name=f"items of {label}")

    async def stop(self) -> None:
        """Send no more: the answer is there, or nobody waits for it any more. The caller's iterator is closed.

        Raises what the iterator raises at that. One that hides that it is cancelled is left to itself.
        """
        self._is_stopped = True
        if (task := self._task) is None:  # nothing was asked of the iterator: another attempt may send all of it
            return
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
        if not task.done():
            logger.warning("the %s go on after their call: their iterator hides that it is cancelled", task.get_name())
        elif not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def send_all(self, sink: SinkT) -> None:
        """Write each item; who waits for the answer is told of a connection that ends, so it is no error here."""
        raise NotImplementedError

    async def finish(self, sink: SinkT) -> None:
        """Tell the callee that this is all, or where there is a `failure` that the items broke off."""
        raise NotImplementedError

    async def _send(self, sink: SinkT) -> None:
        try:
            try:
                await self.send_all(sink)
            finally:
                await self.items.aclose()
        except (Exception, asyncio.CancelledError) as error:
            if self._is_stopped:
                raise
            self.failure = error
        await self.finish(sink)


async def exchange(replies: AsyncGenerator[Any, None], sender: ItemSender[Any]) -> AsyncGenerator[Any, None]:
    """The replies to items that are sent meanwhile, and then what the caller's iterator raised."""
    try:
        async with aclosing(replies):
            async for reply in replies:
                yield reply
    except (Fault, CallError):
        if sender.failure is None:
            raise
    if sender.failure is not None:
        raise sender.failure


async def only_reply(replies: AsyncGenerator[Any, None], label: str, address: object) -> Any:
    """The one reply to a stream of items: on most wires a stream, too."""
    async with aclosing(replies):
        found = [reply async for reply in replies]
    if len(found) != 1:
        raise CallError(Code.INTERNAL, f"{label}: {address} gave {len(found)} replies where one is due")
    return found[0]
