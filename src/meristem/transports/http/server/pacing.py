"""A connection at its peer's pace: it writes and reads no further than is taken in, and ends without losing answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from meristem.transports.http.responses import not_served, refused
from meristem.transports.http.server.framer import Framer
from meristem.transports.http.server.pace import Taking
from meristem.transports.http.server.phases import BUSY, HOSTED, IDLE, LINGER

if TYPE_CHECKING:
    from meristem.transports.http.server.listener import Listener
    from meristem.transports.http.server.turns import Turns

FULL: Final = refused(503, "this server has as many connections as it accepts; try again")
MUCH: Final = 64 * 1024  # bytes of one reading, after which more is likely to be there


class PacedConnection(asyncio.Protocol):
    """The transport's side of a connection; `listener` has what they all share."""

    __slots__ = (
        "behind", "drained", "framer", "held", "inbox", "listener", "loop", "mark", "own", "phase", "socket", "taking",
        "task", "transport", "unread", "used",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.loop = listener.loop
        self.phase = IDLE
        self.mark = listener.reaper.now
        self.framer = Framer(listener.limits)
        self.inbox = self.framer.inbox
        self.task: asyncio.Task[None] | None = None
        self.socket: Any = None
        self.taking: Taking | None = None  # of a peer that has yet to take much of what was written
        self.held = False  # an app reads no more of a body for now
        self.behind = False  # others run before more of a body is taken in
        self.drained: asyncio.Event | None = None
        self.own = True  # until a request shows another client
        self.used = False
        self.unread = False  # more of a body may come than is taken, behind the last answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self.listener.stopped:
            self.transport.abort()
        elif not self.listener.admit(self):
            self.transport.write(FULL.http1(close=True))
            self.transport.close()

    def eof_received(self) -> bool:
        return False  # the peer is gone: close, which cancels what runs for it

    # Writing

    @property
    def turns(self) -> Turns:
        return self.listener.turns

    @property
    def paused(self) -> bool:
        """Whether the peer has yet to read what was sent."""
        return self.taking is not None

    def pause_writing(self) -> None:
        self.taking = Taking(self.transport, self.listener.reaper.now)
        if self.socket is not None:
            self.socket.pause_writing()

    def resume_writing(self) -> None:
        self.taking = None
        self.mark = self.listener.reaper.now
        if self.socket is not None:
            self.socket.resume_writing()
        if self.drained is not None:
            self.drained.set()
        if self.phase == BUSY and self.task is None:  # answered: the peer has read enough of it to ask for more
            self.phase = IDLE
            self.loop.call_soon(self.resume)

    async def writable(self) -> None:
        """Wait until the peer has read enough, or has gone."""
        if self.drained is None:
            self.drained = asyncio.Event()
        while self.taking is not None:
            self.drained.clear()
            await self.drained.wait()

    # Reading

    def bound(self) -> None:
        """Read no further if much has arrived of what comes after."""
        if len(self.inbox) > self.listener.limits.pipelined_bytes:
            self.transport.pause_reading()

    def read_on(self) -> None:
        """Read further unless much has arrived of what comes after."""
        if self.held or self.behind:
            return
        waiting = self.phase in (IDLE, BUSY, HOSTED) and len(self.inbox) > self.listener.limits.pipelined_bytes
        if not waiting and not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()

    def give_way(self) -> None:
        """Let others run before more is taken in: of a quick peer uvloop reads 32 times in one turn of the loop."""
        if not self.behind and not self.transport.is_closing():
            self.behind = True
            self.transport.pause_reading()
            self.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self.behind = False
        if not self.transport.is_closing():
            self.take_in()
            self.read_on()

    def rest(self) -> None:
        """Between two requests: the next one may have arrived."""
        if self.taking is not None:  # `resume_writing` goes on: who does not read is not served
            self.phase = BUSY
            return
        self.phase = IDLE
        self.mark = self.listener.reaper.now
        if self.inbox:
            self.bound()
            self.loop.call_soon(self.resume)
        elif not self.transport.is_reading():
            self.read_on()

    def resume(self) -> None:
        """Take up what has arrived meanwhile."""
        if self.transport.is_closing():  # and `connection_lost` is yet to be called
            return
        if self.phase == IDLE and self.inbox:
            self.begin()
        self.read_on()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The answers that are worked on."""
        raise NotImplementedError

    def begin(self) -> None:
        """At a request boundary: the next request begins."""
        raise NotImplementedError

    def take_in(self) -> None:
        """Take what has arrived of a body, if one is under way; of many small chunks not all at once."""
        raise NotImplementedError

    # The end

    def drain(self) -> None:
        """Let the answer under way be the last, or else the next one: `check` waits for that a little.

        Who was just about to send another request would lose it if an idle connection were closed now. Our own
        clients are told that it was not served, so they need not be waited for.
        """
        if self.socket is not None:
            self.socket.shutdown()
        elif self.phase == IDLE and not self.inbox:
            if self.own and self.used:
                self.let_go()
            else:
                self.mark = self.listener.reaper.now

    def idle(self, now: float) -> float:
        """For how long nothing is asked on it, at `now` of the reaper's clock; 0 while something is."""
        is_idle = self.phase == IDLE and not self.inbox and self.taking is None and self.socket is None
        return now - self.mark if is_idle else 0.0

    def let_go(self) -> None:
        """Close an idle connection so that a request on its way is known to be unserved."""
        if self.own or not self.used:
            self.transport.write(not_served())
            self.linger()
        else:
            self.transport.close()

    def linger(self) -> None:
        """Say no more, but read on until the peer has seen the last answer: closing now might destroy it."""
        # RFC 9112, section 9.6: bytes that arrive after a close are answered by a reset, which can wipe out the answer.
        self.phase = LINGER
        self.mark = self.listener.reaper.now
        self.inbox.clear()
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.read_on()
        elif self.unread:  # TLS closes both ways at once: the peer closes when it has the answer, or `check` does
            self.read_on()
        else:
            self.transport.close()

    def see_last_taken(self, now: float) -> None:
        """Let the peer take the last answer at its pace: what waits here still would be lost with the connection."""
        waits = self.transport.get_write_buffer_size() > 0
        if waits and self.taking is None:
            self.taking = Taking(self.transport, now)
        elif not waits and self.taking is not None:
            self.taking = None
            self.mark = now

    def check(self, now: float) -> None:
        """Close when the peer takes too long."""
        raise NotImplementedError
