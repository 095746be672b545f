"""The replies of a server stream as the client receives them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.codec import decoder
from meristem.transports.http.client.connection import LostError
from meristem.transports.http.connect.errors import ReceivedError
from meristem.transports.http.connect.framing import END, EnvelopeReader

if TYPE_CHECKING:
    from meristem.transports.http.client.connection import ClientConnection


class EndOfStream(msgspec.Struct):
    """The last message of a stream (Connect protocol, "EndStreamResponse")."""

    error: ReceivedError | None = None


class Replies:
    """Receives envelopes; `take` gives one message after another. The server is held back when nobody reads."""

    def __init__(self, connection: ClientConnection, *, window: int, limit: int) -> None:
        self._connection = connection
        self._reader = EnvelopeReader(limit)
        self._window = window
        self._messages: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._end: EndOfStream | None = None
        self._lost: LostError | None = None

    async def take(self) -> bytes | EndOfStream:
        """The next message, or the end of the stream; raises LostError when it broke."""
        while True:
            if self._messages:
                self._go_on()
                return self._messages.popleft()
            if self._end is not None:
                return self._end
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()

    def _go_on(self) -> None:
        transport = self._connection.transport
        # From half of the window on: at its edge each message would stop and start the reading.
        if len(self._messages) <= self._window // 2 and not transport.is_reading() and not transport.is_closing():
            transport.resume_reading()

    # The connection's side

    def feed(self, data: bytes) -> None:
        try:
            for flags, message in self._reader.feed(data):
                if flags & END:
                    self._end = decoder(EndOfStream)(message)
                else:
                    self._messages.append(message)
        except (ValueError, msgspec.DecodeError) as error:
            self.fail(LostError(f"the stream cannot be read: {error}"))
            self._connection.close()
            return
        if len(self._messages) > self._window:
            self._connection.transport.pause_reading()
        self._arrived.set()

    def finish(self) -> None:
        if self._end is None:
            self._lost = LostError("the stream ended without its last message")
        self._arrived.set()

    def fail(self, error: LostError) -> None:
        self._lost = error
        self._arrived.set()
