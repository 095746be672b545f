"""The items of a request that are taken one by one while they arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from meristem.transports.http.server.body import ChunkedBody
from meristem.transports.http.server.head import CONTINUE, expects_continue
from meristem.transports.http.server.pace import Pace, has_gone

if TYPE_CHECKING:
    from meristem.resilience.limits import Limits
    from meristem.transports.http.request import PieceReader, Request
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.hosted import Owner
    from meristem.transports.http.server.reaper import Reaper

MOST_UNREAD: Final = 64 * 1024  # bytes that wait for the callee; then the connection is read no further
BURST: Final = 32  # items, after which others run: a callee may never wait
Piece = TypeVar("Piece")


class RequestStream(Generic[Piece]):
    """One request whose body is taken piece by piece; its connection is read no faster than they are taken."""

    must_abort = True  # a refusal in the midst of it could be taken for the callee's answer

    def __init__(self, connection: Owner, request: Request, body: IncomingBody, reader: PieceReader[Piece]) -> None:
        self.request = request
        self.body = body
        self._connection = connection
        self._reader = reader
        self._expects = expects_continue(request)
        self._taken = 0
        self._is_gone = False
        self._news = asyncio.Event()
        if isinstance(body, ChunkedBody):
            body.lift()

    def feed(self) -> None:
        """Take what has arrived of the body; raises UnsoundError."""
        connection, body = self._connection, self.body
        if not body.done and (part := body.take(connection.inbox)):
            self._expects = False
            self._reader.add(part)
        if body.done:
            connection.bound()
        elif self._reader.size > MOST_UNREAD:
            connection.held = True
            connection.transport.pause_reading()
        self._news.set()

    def waited(self, _now: float) -> float:
        """How long a callee waits for an item is its operation's matter."""
        connection = self._connection  # but a callee that takes none is cancelled with its caller, too
        if connection.held and not connection.transport.is_closing() and has_gone(connection.transport):
            connection.transport.abort()
        return 0.0

    def lost(self) -> None:
        """The client has gone."""
        self._is_gone = True
        self._news.set()

    def wake_up(self) -> None:
        """The answer is out: nothing more is taken."""
        self.lost()

    async def take(self) -> Piece | None:
        """The next piece, None behind the last one; a client that asks before it sends is told to, by the first.

        Raises ValueError for one above the limit, EOFError for one that is cut short, ConnectionError once the client
        has gone.
        """
        self._taken += 1
        if not self._taken % BURST:
            await asyncio.sleep(0)
        while True:
            if self._is_gone:
                raise ConnectionError
            if (found := self._reader.next()) is not None:
                return found
            if self.body.done:
                if self._reader.size:
                    raise EOFError
                return None
            self._read_on()
            self._news.clear()
            await self._news.wait()

    def _read_on(self) -> None:
        if self._expects:
            self._expects = False
            self._connection.transport.write(CONTINUE)
        if self._connection.held:
            self._connection.held = False
            self._connection.read_on()


class UploadStream(RequestStream[Piece]):
    """An upload, whose client sends as fast as that of any body must; while nobody takes it, it is not to blame."""

    def __init__(
        self,
        connection: Owner,
        request: Request,
        body: IncomingBody,
        reader: PieceReader[Piece],
        limits: Limits,
        reaper: Reaper,
    ) -> None:
        super().__init__(connection, request, body, reader)
        self._limits = limits
        self._reaper = reaper
        self._pace = Pace(reaper.now)
        self._idle: float | None = reaper.now  # since when nobody asks for a piece

    def feed(self) -> None:
        """Take what has arrived of the body; raises UnsoundError."""
        before = self._reader.size
        super().feed()
        self._pace.move(self._reader.size - before, self._reaper.now)

    def waited(self, now: float) -> float:
        """For how long the client has been slow with the body: without a byte, or below the least rate."""
        super().waited(now)
        if self.body.done or self._idle is not None:
            return 0.0
        return self._pace.slow(now, self._limits.body_rate)

    async def take(self) -> Piece | None:
        if self._idle is not None:
            self._pace.excuse(self._idle, self._reaper.now)
            self._idle = None
        try:
            return await super().take()
        finally:
            self._idle = self._reaper.now
