"""Sends the items of a request while its answer is awaited, each in an envelope and a chunk of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.codec import UNENCODABLE, unencodable
from meristem.transports.http.connect.framing import BROKEN_OFF, END, envelope
from meristem.transports.item_sending import ItemSender

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.contracts.items import Items
    from meristem.transports.http.client.connection import ClientConnection

LAST_CHUNK: Final = b"0\r\n\r\n"
BURST: Final = 32  # items, after which others run: an iterator may never wait


class HttpItemSender(ItemSender["ClientConnection"]):
    """Sends items on a connection of their own."""

    def __init__(self, items: Items, write: Callable[[Any], bytes]) -> None:
        super().__init__(items)
        self._write = write

    async def finish(self, sink: ClientConnection) -> None:
        transport = sink.transport
        if not transport.is_closing():
            transport.write(LAST_CHUNK if self.failure is None else _chunk(envelope(BROKEN_OFF, END)) + LAST_CHUNK)

    async def send_all(self, sink: ClientConnection) -> None:
        count = 0
        async for item in self.items:
            if sink.transport.is_closing():  # its end is told to who waits for the answer
                return
            sink.transport.write(_chunk(envelope(self._encoded(item))))
            count += 1
            if sink.is_full:
                await sink.writable()
            elif not count % BURST:
                await asyncio.sleep(0)

    def _encoded(self, item: Any) -> bytes:
        try:
            return self._write(item)
        except UNENCODABLE as error:
            raise unencodable(error) from None


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
