"""What a verb reads from standard input while it does something else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE: Final = 64 * 1024


async def input_lines() -> AsyncIterator[bytes]:
    """The lines of standard input as they come, without those that are empty."""
    unread = b""
    async for piece in _pieces():
        *lines, unread = (unread + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if unread.strip():
        yield unread


async def _pieces() -> AsyncIterator[bytes]:
    """Pieces of it, each read when it is asked for: a file may be larger than memory."""
    loop, wanted = asyncio.get_running_loop(), threading.Semaphore(0)
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    given = sys.stdin.buffer
    # Below its buffer, whose lock a thread that waits for a terminal would hold while the interpreter ends.
    source: Any = getattr(given, "raw", given)

    def read() -> None:
        piece = b"-"
        while piece:
            wanted.acquire()
            piece = source.read(PIECE) or b""
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody asks any more
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

    # One that nobody waits for: what was called may answer before the input ends.
    threading.Thread(target=read, name="standard input", daemon=True).start()
    while True:
        wanted.release()
        if not (piece := await pieces.get()):
            return
        yield piece
