"""How fast a peer is: since when it moves nothing, and whether it is too slow in all."""

from __future__ import annotations

import contextlib
import select
import sys
from typing import TYPE_CHECKING, Final

try:
    import fcntl
    import termios
except ImportError:  # Windows does not tell what its kernel holds
    fcntl = termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import asyncio

CLOSED: Final = getattr(select, "POLLRDHUP", 0)  # where there is none, only a connection that was reset is seen


class Pace:
    """Of one body in one direction; times are those of the reaper's clock."""

    __slots__ = ("_began", "_moved", "_seen")

    def __init__(self, now: float) -> None:
        self._began = self._seen = now
        self._moved = 0

    def move(self, size: int, now: float) -> None:
        """The peer has sent or taken so many bytes more."""
        self._moved += size
        self._seen = now

    def excuse(self, since: float, now: float) -> None:
        """The peer is not to blame for the time since then."""
        self._began += now - since
        self._seen = now

    def slow(self, now: float, rate: int) -> float:
        """For how long the peer has been slow: without a byte, or below so many bytes a second."""
        return max(now - self._seen, now - self._began - self._moved / rate)


class Taking(Pace):
    """Of a peer that has yet to take what was written to it; looked at now and then."""

    __slots__ = ("_left", "_transport")

    def __init__(self, transport: asyncio.Transport, now: float) -> None:
        super().__init__(now)
        self._transport = transport
        self._left = left_of(transport)

    def look(self, now: float) -> None:
        """See what was taken since the last look."""
        left = left_of(self._transport)
        if left < self._left:
            self.move(self._left - left, now)
        self._left = left


def left_of(transport: asyncio.Transport) -> int:
    """How many bytes the peer has yet to take: those that wait here, and in the kernel.

    The kernel's alone would not be seen to move: it asks for more when a third of its megabytes is free.
    """
    held = bytes(4)
    if termios is not None:
        with contextlib.suppress(OSError, AttributeError):  # it has closed
            held = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, held)
    return transport.get_write_buffer_size() + int.from_bytes(held, sys.byteorder)


def has_gone(transport: asyncio.Transport) -> bool:
    """Whether the peer has closed the connection: one that is read no further is not told so by its loop."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), CLOSED)
    return bool(poll.poll(0))
