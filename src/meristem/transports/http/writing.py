"""A connection that is written to no faster than its peer takes it."""

from __future__ import annotations

import asyncio


class WritingProtocol(asyncio.Protocol):
    """The transport's side of a connection with a request under way; its end lets go of whoever waits to write."""

    __slots__ = ("_room", "loop", "transport")

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._room: asyncio.Future[None] | None = None  # while the peer has yet to take much of what was written

    @property
    def is_full(self) -> bool:
        """Whether the peer has yet to take much of what was written."""
        return self._room is not None

    async def writable(self) -> None:
        """Wait until the peer has taken enough, or has gone."""
        if self._room is not None:
            await asyncio.shield(self._room)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def pause_writing(self) -> None:
        self._room = self.loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why is for those derived from it
        self.resume_writing()
