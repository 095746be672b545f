"""Many calls on one connection: frames, each with the number of the call that it belongs to.

Two ends of one system agree on it by an upgrade of HTTP/1.1 (RFC 9110, section 7.8); all others go on speaking HTTP. A
frame is a length, a number and a kind, nine bytes in all, and then its content. A call is a whole request as it would
have been sent by itself, so nothing is known of it here that is not known there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

PROTOCOL: Final = b"meristem-calls"
"""The name in the `upgrade` field."""

ASKED: Final = (
    b"GET /meristem-calls HTTP/1.1\r\nhost: localhost\r\nuser-agent: meristem/1\r\n"
    b"connection: upgrade\r\nupgrade: " + PROTOCOL + b"\r\n\r\n"
)
AGREED: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: " + PROTOCOL + b"\r\n\r\n"

PREFIX: Final = struct.Struct("<IIB")
STATUS: Final = struct.Struct("<H")
LARGEST: Final = 64 * 1024  # of a call, and of what an answer is cut into: no frame holds up the others for long
MOST_AT_ONCE: Final = 8  # frames that leave in one write
MOST_PIECES: Final = 2 * MOST_AT_ONCE  # of which each has a beginning and a content

CALL: Final = 0  # a request, head and body
CANCEL: Final = 1  # its caller no longer waits
REPLY: Final = 2  # the body of a 200
FAILURE: Final = 3  # the status and the body of any other answer
PART: Final = 4  # bytes that come before those of the body
REFUSED: Final = 5  # it was not served: send it by itself
BROKEN: Final = 6  # there will be no answer
END: Final = 7  # all that was begun is answered, and nothing else was or will be
POSITIONED: Final = 8  # before an answer: what its caller has written by now (`meristem-positions`)


class CallFrames:
    """Cuts what arrives into frames, and sends frames: those of one turn of the loop leave in a few writes."""

    __slots__ = ("_batch", "_finished", "_held", "_loop", "_rest", "_transport", "_unsent", "_wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._rest = bytearray()
        self._wanted = 0  # bytes that the frame has whose beginning is in `_rest`
        self._unsent: list[bytes] = []
        self._batch = 2
        self._finished = self._held = False

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Number, kind and content of every frame that is now whole; raises ValueError for one that is too large."""
        rest = self._rest
        if rest:
            if len(rest) + len(data) < self._wanted:  # joined when it is whole: a frame in small pieces is copied once
                rest += data
                return
            data = b"".join((rest, data))
            rest.clear()
        at, size = 0, len(data)
        self._wanted = PREFIX.size
        while size - at >= PREFIX.size:
            length, number, kind = PREFIX.unpack_from(data, at)
            if length > LARGEST:
                raise ValueError(f"a frame of {length} bytes; it may have {LARGEST}")
            begin = at + PREFIX.size
            if begin + length > size:
                self._wanted = PREFIX.size + length
                break
            at = begin + length
            yield number, kind, data[begin:at]
        if at < size:
            rest += data[at:]

    def together(self, frames: int) -> None:
        """Let so many frames leave at once, within reason, and do not wait for more.

        In one write, each costs little. But if all that is under way left together, one end would stand still while the
        other works: four calls at a time were answered at less than half the pace of four connections.
        """
        self._batch = 2 * min(MOST_AT_ONCE, frames)

    def send(self, number: int, kind: int, content: bytes = b"") -> None:
        """Send a frame in this turn of the loop, at its end if not before."""
        unsent = self._unsent
        if not unsent:
            self._loop.call_soon(self.flush)
        unsent.append(PREFIX.pack(len(content), number, kind))
        unsent.append(content)
        if len(unsent) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Send what waits for that now, unless the peer has yet to read what was sent before."""
        unsent = self._unsent
        if self._finished or self._transport.is_closing():  # uvloop raises when the peer has gone
            unsent.clear()
        while unsent and not self._held:
            part = unsent[:MOST_PIECES]
            del unsent[:MOST_PIECES]
            self._transport.write(b"".join(part))

    def hold(self) -> None:
        """Keep frames back: asyncio would copy what its transport holds, megabytes perhaps, for each that is added."""
        self._held = True

    def go_on(self) -> None:
        """Send what was kept back, until it is held again."""
        self._held = False
        self.flush()

    def finish(self, kind: int) -> None:
        """Send what waits, and a last frame, which is of no call; whatever is sent after it is dropped."""
        self.send(0, kind)
        self.go_on()
        self._finished = True
