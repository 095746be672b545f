"""The client's end of a connection that carries many calls at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meristem.head_fields import POSITIONS
from meristem.transports.http.client.connection import LargeReplyError, LostError, RawResponse
from meristem.transports.http.frames import (
    AGREED,
    ASKED,
    BROKEN,
    CALL,
    CANCEL,
    END,
    FAILURE,
    LARGEST,
    PART,
    POSITIONED,
    REFUSED,
    REPLY,
    STATUS,
    CallFrames,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS: Final = 0xFFFFFFFF


class ClientChannel(asyncio.Protocol):
    """Sends calls under numbers and gives each its own answer; `lost` is called when it can carry no more.

    At most `limit` calls are under way. `opened` becomes true when the server agreed, false when it speaks HTTP alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[], None], limit: int, reply_limit: int) -> None:
        self.opened: asyncio.Future[bool] = loop.create_future()
        self._loop = loop
        self._lost = lost
        self._limit = limit
        self._reply_limit = reply_limit
        self._waiting: dict[int, asyncio.Future[bytes | RawResponse | None]] = {}
        self._parts: dict[int, bytearray] = {}
        self._told: dict[int, bytes] = {}
        self._number = 0
        self._greeting = b""
        self.is_open = False
        self._ended = False  # the server has answered all that it began
        self._room = 0  # calls that may be under way: none before it is open, or while the server reads no further

    # The calls' side

    def has_room(self, request: bytes) -> bool:
        """Whether a request may be sent here; one that is large, or would only wait to be read, goes by itself."""
        return len(self._waiting) < self._room and len(request) <= LARGEST and not self._transport.is_closing()

    async def call(self, request: bytes) -> bytes | RawResponse | None:
        """The body of a 200, or another answer whole; None when it was not served here and is to be sent by itself.

        Raises LostError. A call that is cancelled is cancelled at the server, too.
        """
        number = (self._number + 1) & NUMBERS
        while number in self._waiting:  # after 2**32 calls one may still wait
            number = (number + 1) & NUMBERS
        self._number = number
        waiter = self._waiting[number] = self._loop.create_future()
        self._frames.together(1 + len(self._waiting) // 4)
        self._frames.send(number, CALL, request)
        try:
            answer: bytes | RawResponse | None = await waiter
        except BaseException:
            self._give_up(number)
            raise
        return answer

    def close(self) -> None:
        """End the connection; calls under way raise LostError."""
        self.is_open = False
        if not self.opened.done():
            self.opened.cancel()
        self._transport.abort()

    def _give_up(self, number: int) -> None:
        self._parts.pop(number, None)
        self._told.pop(number, None)
        if self._waiting.pop(number, None) is not None and not self._transport.is_closing():
            self._frames.send(number, CANCEL)

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._frames = CallFrames(self._loop, self._transport)
        self._transport.write(ASKED)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        reason = f"the connection broke: {exc}" if exc is not None else "the connection was closed"
        if not self.opened.done():
            self.opened.set_exception(LostError(reason))
            self.opened.exception()  # else reported as never looked at, where the opening was given up meanwhile
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                # After its end the server has served nothing but what it answered.
                lost = LostError(f"{reason} before the answer was complete", happened=not self._ended, broken=True)
                waiter.set_exception(lost)
        self._lost()

    def pause_writing(self) -> None:
        self._room = 0

    def resume_writing(self) -> None:
        self._room = self._limit if self.is_open else 0

    def data_received(self, data: bytes) -> None:
        if not self.is_open and not self.opened.done():
            data = self._greeted(data)
        try:
            for number, kind, content in self._frames.feed(data):
                self._take(number, kind, content)
        except ValueError:
            self.close()  # no frame of this protocol: whatever follows can't be told apart

    def _greeted(self, data: bytes) -> bytes:
        """What follows the server's agreement; where it answers otherwise, nothing does, and the connection ends."""
        self._greeting += data
        if self._greeting.startswith(AGREED):
            self.is_open, self._room = True, self._limit
            self.opened.set_result(True)
            return self._greeting[len(AGREED) :]
        if not AGREED.startswith(self._greeting):
            self.opened.set_result(False)
            self._transport.abort()
        return b""

    def _take(self, number: int, kind: int, content: bytes) -> None:
        if kind == END:
            self._ended, self.is_open, self._room = True, False, 0
            return
        if kind == PART:
            self._collect(number, content)
            return
        if kind == POSITIONED:
            if number in self._waiting:
                self._told[number] = content
            return
        waiter = self._waiting.pop(number, None)
        if waiter is None or waiter.done():  # its caller has given it up meanwhile
            return
        if kind == REPLY and not self._parts and not self._told and len(content) <= self._reply_limit:  # nearly all
            waiter.set_result(content)
        elif kind == REPLY or (kind == FAILURE and len(content) >= STATUS.size):
            self._answer(number, kind, content, waiter)
        elif kind == REFUSED:
            waiter.set_result(None)
        elif kind == BROKEN:
            waiter.set_exception(LostError("the server gave the call up"))
        else:
            self._waiting[number] = waiter  # it learns of the end of the connection
            raise ValueError(f"a frame of kind {kind} with {len(content)} bytes")

    def _answer(
        self, number: int, kind: int, content: bytes, waiter: asyncio.Future[bytes | RawResponse | None]
    ) -> None:
        body = content if kind == REPLY else content[STATUS.size :]
        if self._parts and (parts := self._parts.pop(number, None)) is not None:
            parts += body
            body = bytes(parts)
        if len(body) > self._reply_limit:
            waiter.set_exception(LargeReplyError(self._reply_limit))
        elif kind == REPLY and number not in self._told:
            waiter.set_result(body)
        else:
            told = self._told.pop(number, None)
            status = 200 if kind == REPLY else STATUS.unpack_from(content)[0]
            waiter.set_result(RawResponse(status, {} if told is None else {POSITIONS: told}, body))

    def _collect(self, number: int, part: bytes) -> None:
        """Keep a part of an answer."""
        waiter = self._waiting.get(number)
        if waiter is None:
            return
        parts = self._parts.setdefault(number, bytearray())
        parts += part
        if len(parts) > self._reply_limit:
            self._give_up(number)
            if not waiter.done():
                waiter.set_exception(LargeReplyError(self._reply_limit))
