"""The server's end of a connection that carries many calls at once."""

from __future__ import annotations

import asyncio
from asyncio import Task
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from meristem.head_fields import POSITIONS
from meristem.transports.http.connect.codec import OwnCodec, is_own
from meristem.transports.http.connect.interface import Route
from meristem.transports.http.frames import (
    AGREED,
    BROKEN,
    CALL,
    CANCEL,
    END,
    FAILURE,
    LARGEST,
    PART,
    POSITIONED,
    PROTOCOL,
    REFUSED,
    REPLY,
    STATUS,
    CallFrames,
)
from meristem.transports.http.server.body import SizedBody
from meristem.transports.http.server.eager import EAGER
from meristem.transports.http.server.framer import Framer
from meristem.transports.http.server.head import UnsoundError
from meristem.transports.http.server.pacing import MUCH
from meristem.transports.unary import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.transports.http.request import Request
    from meristem.transports.http.server.listener import Listener
    from meristem.transports.http.server.turns import Turns
    from meristem.transports.unary import Codec

MOST: Final = LARGEST - STATUS.size  # bytes of an answer in one frame
MOST_IN_TURN: Final = 32  # frames that are looked at before others run: each may be a call, answered in this turn
MOST_CALLS: Final = 1024  # under way, before the connection is read no further


class ChannelOwner(Protocol):
    """The connection that lends its transport."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def listener(self) -> Listener: ...

    held: bool

    @property
    def turns(self) -> Turns: ...

    async def writable(self) -> None:
        """Wait until the peer has read enough, or has gone."""
        ...

    def give_way(self) -> None:
        """Let others run before more is read."""
        ...

    def read_on(self) -> None:
        """Read further unless it is held."""
        ...

    def linger(self) -> None:
        """Say no more, but read on until the peer has seen the last answer."""
        ...


def is_channel(request: Request) -> bool:
    """Whether a request of Meristem's own client asks for a connection of many calls."""
    head = request.head
    return (
        head.get(b"upgrade") == PROTOCOL
        and head.get(b"connection") == b"upgrade"
        and is_own(head)
        and request.method == "GET"
        and b"content-length" not in head
        and b"transfer-encoding" not in head
    )


class ServerChannel:
    """Answers each call in a task of its own, in whatever order the answers come.

    It stands behind its connection as a WebSocket does: bytes that arrive, and word of the transport, come from there.
    """

    def __init__(self, owner: ChannelOwner) -> None:
        self.tasks: dict[int, Task[None]] = {}
        self._owner = owner
        self._listener = owner.listener
        self._loop = self._listener.loop
        self._frames = CallFrames(self._loop, owner.transport)
        self._parts = asyncio.Lock()
        self._leaving = self._over = False
        self._slow = False  # the peer does not read its answers
        self._behind = False  # more has arrived than was begun
        owner.transport.write(AGREED)

    def data_received(self, data: bytes) -> None:
        """Begin the calls that have arrived; what is no frame ends the connection."""
        self._go_on(self._frames.feed(data))
        if len(data) >= MUCH and not self._behind:
            self._owner.give_way()

    def _go_on(self, frames: Iterator[tuple[int, int, bytes]]) -> None:
        """Take so many frames and let others run: a read holds thousands of small ones."""
        if self._over or self._owner.transport.is_closing():
            return
        count = 0
        try:
            for number, kind, content in islice(frames, MOST_IN_TURN):
                self._take(number, kind, content)
                count += 1
        except ValueError:
            self._owner.transport.abort()
            return
        if self._over:
            return
        self._frames.together(1 + count // 2)
        self._behind = count == MOST_IN_TURN
        if self._behind:
            self._loop.call_soon(self._go_on, frames)
        if self._behind or len(self.tasks) >= MOST_CALLS:
            self._hold()
        elif self._owner.held:
            self._read_on()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The peer has gone: nobody waits for any answer."""
        for task in list(self.tasks.values()):
            task.cancel()

    def pause_writing(self) -> None:
        """The peer does not read: what it asks further is not read either."""
        self._slow = True
        self._frames.hold()
        self._hold()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._slow = False
        self._loop.call_soon(self._frames.go_on)  # not now: asyncio ends twice where writing fails within this
        self._read_on()

    def shutdown(self) -> None:
        """Begin no more calls, and end when the last is answered."""
        self._leaving = True
        self._end_if_done()

    def _take(self, number: int, kind: int, content: bytes) -> None:
        if kind == CALL and number not in self.tasks:
            self._begin(number, content)
        elif kind == CANCEL:
            if (task := self.tasks.pop(number, None)) is not None:
                task.cancel()
                if self._leaving:
                    self._end_if_done()
        else:
            raise ValueError(f"a frame of kind {kind}, or a number twice")

    def _begin(self, number: int, data: bytes) -> None:
        known = None
        if not self._leaving:
            most = self._listener.limits.body_bytes
            known = self._listener.own_heads.recognize(data, most) or self._parsed(data, most)
        if known is None:
            self._frames.send(number, REFUSED)
            return
        codec, request = known
        work = self._answer(number, codec, request)
        task = Task(work, loop=self._loop, name=codec.operation.path, **EAGER)
        if not task.done():
            self.tasks[number] = task

    def _parsed(self, data: bytes, most: int) -> tuple[Codec[Any, Any], Any] | None:
        """A call whose head is seen for the first time; None for what is no unary call, whole and in one piece."""
        listener = self._listener
        framer = Framer(listener.limits)
        framer.inbox += data
        try:
            request = framer.request()
            body = None if request is None else framer.body(request)
        except UnsoundError:  # by itself it will be told why
            return None
        if request is None or type(body) is not SizedBody or body.missing != len(framer.inbox) or body.missing > most:
            return None
        found = listener.find(request, socket=False)
        if not isinstance(found, Route) or not found.is_plain(request):
            return None
        listener.own_heads.learn(request, found)
        known = found.received(request, bytes(framer.inbox))
        return known if isinstance(known[0], OwnCodec) else None

    async def _answer(self, number: int, codec: Codec[Any, Any], request: Any) -> None:
        try:
            response = await answer(codec, request, self._listener.authorizer)
            rest = response.body if len(response.body) <= MOST else await self._in_parts(number, response.body)
        except BaseException:
            self._frames.send(number, BROKEN)  # the caller must not take silence for an answer
            self._ended(number)
            raise
        if response.fields and request.follows:
            for name, value in response.fields:
                if name == POSITIONS:
                    self._frames.send(number, POSITIONED, value)
        if response.status == 200:
            self._frames.send(number, REPLY, rest)
        else:
            self._frames.send(number, FAILURE, STATUS.pack(response.status) + rest)
        self._ended(number)

    async def _in_parts(self, number: int, body: bytes) -> bytes:
        """Send a large body but for its end, which is given back; other answers go out between its parts."""
        left = memoryview(body)
        while len(left) > MOST:
            async with self._parts:  # one by one: a thousand that wait would all wake up for the room of one
                await self._owner.writable()
                await self._owner.turns.give_way()
                self._frames.send(number, PART, bytes(left[:MOST]))
            left = left[MOST:]
        return bytes(left)

    def _ended(self, number: int) -> None:
        self.tasks.pop(number, None)
        if self._owner.held:
            self._read_on()
        if self._leaving:
            self._end_if_done()

    def _end_if_done(self) -> None:
        if not self.tasks and not self._over:
            self._over = True
            self._frames.finish(END)
            self._behind = self._owner.held = False  # what is left is dropped; the peer's end must be seen
            self._owner.linger()

    def _hold(self) -> None:
        self._owner.held = True
        if not self._owner.transport.is_closing():
            self._owner.transport.pause_reading()

    def _read_on(self) -> None:
        if not self._slow and not self._behind and len(self.tasks) < MOST_CALLS:
            self._owner.held = False
            self._owner.read_on()
