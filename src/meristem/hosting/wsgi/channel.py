"""Carries an answer from an app's thread to the event loop, never far ahead of the client that reads it."""

from __future__ import annotations

import asyncio
import threading
from asyncio import Event
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from meristem.hosting.wsgi.files import FileWrapper

WINDOW: Final = 256 * 1024  # bytes that may wait for the client before the app's thread does

Head = tuple[int, list[tuple[bytes, bytes]]]


class ClientDisconnectedError(ConnectionError):
    """The client has gone; nobody reads the rest of the answer."""


class Channel:
    """One answer on its way; `put`, `put_file` and `fail` are the thread's side, the rest is the event loop's.

    The loop is woken once for all that a thread puts before the loop comes to it: a short answer costs one wake-up.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = threading.Condition(threading.Lock())
        self._ready = Event()
        self._woken = False
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._size = 0  # bytes that the client's side has not taken
        self._file: tuple[FileWrapper, int] | None = None
        self._ended = False
        self._failure: BaseException | None = None
        self.gone = False

    @property
    def complete(self) -> bool:
        """Whether the thread has sent all."""
        return self._ended

    def put(self, head: Head | None, body: bytes, *, end: bool) -> None:
        """Send on; waits while the client reads too slowly. Raises ClientDisconnectedError."""
        with self._changed:
            while self._size >= WINDOW and not self.gone:
                self._changed.wait()
            if self.gone:
                raise ClientDisconnectedError("the client has disconnected")
            if head is not None:
                self._head = head
            if body:
                self._parts.append(body)
                self._size += len(body)
            self._ended = end
            woken, self._woken = self._woken, True
        if not woken:
            self._wake()

    def put_file(self, head: Head, file: FileWrapper, size: int) -> None:
        """Send `size` bytes of a file, and close it; raises ClientDisconnectedError, and leaves it open then."""
        with self._changed:
            if self.gone:
                raise ClientDisconnectedError("the client has disconnected")
            self._head, self._file, self._ended = head, (file, size), True
        self._wake()

    def fail(self, failure: BaseException) -> None:
        """End with what the app raised."""
        with self._changed:
            self._failure = failure
        self._wake()

    def abandon(self) -> None:
        """Nobody reads any more: the thread hears of it when it next has something to send."""
        with self._changed:
            self.gone = True
            self._parts.clear()
            self._changed.notify_all()
        self._ready.set()

    async def forward(self, send: Any) -> None:
        """Send what the thread puts until the end; raises what the app raised."""
        try:
            await self._forward(send)
        finally:
            self.abandon()
            if self._file is not None:
                await asyncio.to_thread(self._file[0].close)

    async def _forward(self, send: Any) -> None:
        ended = False
        while not ended and not self.gone:
            await self._ready.wait()
            self._ready.clear()
            with self._changed:
                head, self._head = self._head, None
                body = b"".join(self._parts)
                self._parts.clear()
                ended, failure, self._woken = self._ended, self._failure, False
            if head is not None and not self.gone:
                await send({"type": "http.response.start", "status": head[0], "headers": head[1]})
            if self._file is not None and not self.gone:
                await self._forward_file(send, *self._file)
            elif (body or ended) and not self.gone:
                await send({"type": "http.response.body", "body": body, "more_body": not ended})
                self._taken(len(body))
            if failure is not None and not ended and not self.gone:
                raise failure

    async def _forward_file(self, send: Any, file: FileWrapper, left: int) -> None:
        while left and not self.gone:
            block = await asyncio.to_thread(file.read, min(left, WINDOW))
            if not block:
                raise EOFError(f"the file ended {left} bytes before its Content-Length")
            left -= len(block)
            await send({"type": "http.response.body", "body": block, "more_body": left > 0})

    def _taken(self, size: int) -> None:
        with self._changed:
            self._size -= size
            self._changed.notify_all()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop was closed: the process ends
            self.gone = True
