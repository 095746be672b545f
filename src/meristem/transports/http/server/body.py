"""The body of a request, cut out of the bytes of its connection: by its length, or in chunks."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from meristem.transports.http.server.head import UnsoundError

if TYPE_CHECKING:
    from meristem.resilience.limits import Limits

# Fifteen digits at most: with more, the counter of who stands in front may overflow (RFC 9112, section 7.1).
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n")
MOST_OF_LINE: Final = 256  # of a chunk's size and extensions
BYTES_OF_CHUNK: Final = 32  # that a chunk has on average, beyond the first `body_chunks`
CHUNKS: Final = 512  # that are read in one turn of the event loop, half a millisecond's work
SIZE, DATA, END_OF_DATA, TRAILERS, DONE = range(5)
TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n")


class IncomingBody(Protocol):
    """A body that arrives."""

    @property
    def done(self) -> bool:
        """Whether all of it was taken, so that the next byte belongs to the next request."""
        ...

    @property
    def behind(self) -> bool:
        """Whether more has arrived than was taken, for it would have held up others."""
        ...

    def take(self, inbox: bytearray) -> bytes:
        """Cut what has arrived out of the front of the bytes that were received; raises UnsoundError.

        Takes as much as is read in one turn of the event loop; what is left is for the next one.
        """
        ...


class SizedBody:
    """A body of a length that is told before."""

    __slots__ = ("missing",)
    behind: Final = False  # all that there is takes but a copy

    def __init__(self, length: int) -> None:
        self.missing = length

    @property
    def done(self) -> bool:
        return self.missing == 0

    def take(self, inbox: bytearray) -> bytes:
        part = bytes(inbox) if len(inbox) <= self.missing else bytes(memoryview(inbox)[: self.missing])
        self.missing -= len(part)
        del inbox[: len(part)]
        return part


class ChunkedBody:
    """A body in chunks (RFC 9112, 7.1). Extensions say nothing; trailers are read, bounded and dropped.

    A trailer never becomes a header: who checked the head has not seen it. A chunk of one byte costs
    as much as one of a thousand, so how many there may be depends on what they hold.
    """

    __slots__ = ("_credit", "_limits", "_missing", "_room", "_step", "_trailed", "_trailers", "behind")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._credit: float = limits.body_chunks * BYTES_OF_CHUNK  # each chunk costs, each byte that it holds pays
        self._missing = 0  # bytes of the chunk that is read
        self._room: float = inf  # for how many bytes more there is room
        self._step = SIZE
        self._trailed = 0
        self._trailers = 0
        self.behind = False

    def lift(self) -> None:
        """Let it have any number of chunks, for it is no whole: each turn of the loop still takes so many of them."""
        self._credit = inf

    def bound(self, most: int) -> None:
        """Refuse more than `most` bytes with 413."""
        self._room = most

    @property
    def done(self) -> bool:
        return self._step == DONE

    def take(self, inbox: bytearray) -> bytes:
        data, at, parts, left = bytes(inbox), 0, [], CHUNKS
        self.behind = False
        try:
            while self._step != DONE:
                if self._step == SIZE:
                    if not left:
                        self.behind = True
                        break
                    left -= 1
                    after = self._size(data, at)
                elif self._step == DATA:
                    after = min(at + self._missing, len(data))
                    parts.append(data[at:after])
                    self._missing -= after - at
                    if not self._missing:
                        self._step = END_OF_DATA
                elif self._step == END_OF_DATA:
                    after = self._end_of_data(data, at)
                else:
                    after = self._trailer(data, at)
                if after == at:
                    break
                at = after
        finally:
            del inbox[:at]
        return b"".join(parts)

    def _size(self, data: bytes, at: int) -> int:
        found = CHUNK_LINE.match(data, at)
        if found is None:
            _await_line(data, at, MOST_OF_LINE, 400, "a chunk begins with its size in hexadecimal digits")
            return at
        if found.end() - at > MOST_OF_LINE:
            raise UnsoundError(400, f"the line before a chunk may have {MOST_OF_LINE} bytes")
        self._missing = int(found[1], 16)
        self._room -= self._missing
        if self._room < 0:
            raise UnsoundError(413, "the body is larger than what is taken here")
        self._step = DATA if self._missing else TRAILERS
        self._credit += self._missing - BYTES_OF_CHUNK
        if self._credit < 0:
            most = self._limits.body_chunks
            raise UnsoundError(400, f"a body has {most} chunks, or more if they hold {BYTES_OF_CHUNK} bytes on average")
        return found.end()

    def _end_of_data(self, data: bytes, at: int) -> int:
        ending = data[at : at + 2]
        if not b"\r\n".startswith(ending):
            raise UnsoundError(400, "a chunk is longer than its size")
        if len(ending) < 2:
            return at
        self._step = SIZE
        return at + 2

    def _trailer(self, data: bytes, at: int) -> int:
        limits = self._limits
        left = limits.head_bytes - self._trailed
        found = TRAILER.match(data, at)
        if found is None:
            if data.startswith(b"\r\n", at):
                self._step = DONE
                return at + 2
            _await_line(data, at, left, 431, "a trailer is a name, a colon and a value")
            return at
        self._trailed += found.end() - at
        self._trailers += 1
        if found.end() - at > left or self._trailers > limits.head_fields:
            raise UnsoundError(431, "a request has as much room for trailers as for its head")
        return found.end()


def _await_line(data: bytes, at: int, most: int, status: int, form: str) -> None:
    """Raises UnsoundError where a line has ended that has not this form, or is too long to be waited for."""
    if data.find(b"\n", at) >= 0:
        raise UnsoundError(400, form)
    if len(data) - at >= most:
        raise UnsoundError(status, f"{form}, of up to {most} bytes")
