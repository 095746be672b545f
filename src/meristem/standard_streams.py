"""Standard output and error of a process that serves: where nobody reads them, lines are dropped and nothing waits."""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import logging
import os
import select
import socket
import stat
import sys
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

BOUND: Final = 4 << 20  # bytes that wait for a screen
LAST: Final = 1.0  # seconds in which the end of the program waits for it
PIECE: Final = 65536  # bytes of one write
UNREAD: Final = "while the screen was not read"
PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT})  # of a log on a disk: it may take more later


def unblock() -> None:
    """From here to its end, what this process prints and logs keeps nothing waiting.

    For a process that serves: a command whose output another program takes needs all of it, and waits.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A daemon may have none, and a test has put something of its own there.
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        stream.flush()
        setattr(sys, name, _text(stream, ScreenWriter(stream.fileno())))
    atexit.register(finish)


def _text(stream: TextIO, writer: ScreenWriter) -> TextIO:
    writer.name = stream.name
    buffer = io.BufferedWriter(writer)
    return io.TextIOWrapper(buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=True)


def finish() -> None:
    """Before this process ends: give the screens a second to take what waits."""
    logging.shutdown()  # which Python would do after this: it has lines, too
    latest = time.monotonic() + LAST
    for stream in (sys.stdout, sys.stderr):
        writer = getattr(getattr(stream, "buffer", None), "raw", None)
        if stream is not None and isinstance(writer, ScreenWriter):
            stream.flush()
            writer.finish(max(0.0, latest - time.monotonic()))


def write_now(descriptor: int, text: bytes) -> None:
    """Write a short text past all buffers, unless the screen takes nothing now."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    with contextlib.suppress(OSError):
        if poll.poll(0):
            os.write(descriptor, text)


class ScreenWriter(io.RawIOBase):
    """Writes to a descriptor without waiting for whoever reads there.

    What is taken at once is written at once, so that a crash loses none of it. The rest waits for a thread, `bound`
    bytes at most; what comes then is dropped until all that waits was read, and a line tells how much that was. So is
    what a full disk does not take. A screen that is gone (a closed terminal, `| head`) is forgotten: the process goes
    on.
    """

    def __init__(self, descriptor: int, *, bound: int = BOUND) -> None:
        self.name: int | str = descriptor
        self._descriptor = descriptor
        self._bound = bound
        self._put = _without_waiting(descriptor)
        self._waiting: deque[memoryview] = deque()
        self._size = 0  # of what waits
        self._dropped = 0  # lines, since all was written
        self._why = ""  # they are dropped; empty while none are
        self._is_gone = self._is_finished = False
        self._is_line_begun = False  # by what was taken last
        self._begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        """In a child by fork there is no thread, and what waits is the parent's to write."""
        self._changed = threading.Condition(threading.Lock())
        self._waiting.clear()
        self._size = self._dropped = 0
        self._why = ""
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        """Take all of `data`: write it, keep it for the thread, or drop it."""
        given = bytes(data)  # a copy: the caller fills its buffer again
        with self._changed:
            if given and not self._is_gone:
                self._take(given)
        return len(given)

    def _take(self, data: bytes) -> None:
        if self._size and self._size + len(data) > self._bound:
            self._why = UNREAD
        if self._why and not self._size:
            self._tell()  # a disk may have room again
        if self._why:
            self._dropped += data.count(b"\n")
            return
        self._is_line_begun = not data.endswith(b"\n")
        rest = memoryview(data)
        if not self._size and self._put is not None:
            rest = rest[self._write_some(self._put, rest) :]
        if rest and not self._is_gone:
            self._keep(rest)

    def _write_some(self, put: Callable[[memoryview], int], data: memoryview) -> int:
        """How much of it the screen takes now, or all where it takes no more."""
        done = 0
        try:
            while done < len(data):
                done += put(data[done : done + PIECE])
        except BlockingIOError:
            return done
        except OSError as error:
            self._fail(error, data[done:])
        return len(data)

    def _fail(self, error: OSError, data: memoryview) -> None:
        if error.errno in PASSING:
            self._why = f"as the disk took none ({error.strerror})"
            self._dropped += bytes(data).count(b"\n")
            return
        self._is_gone = True
        self._waiting.clear()
        self._size = 0
        self._changed.notify_all()

    def _keep(self, data: memoryview) -> None:
        if self._is_finished:
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _tell(self) -> None:
        """Go on with a line that tells what was dropped."""
        dropped, why = self._dropped, self._why
        what = "1 line was" if dropped == 1 else f"{dropped} lines were"
        begin = "\n" if self._is_line_begun else ""
        self._dropped, self._why = 0, ""
        self._take(f"{begin}… {what} dropped {why}\n".encode())
        if self._why:  # the disk is full as before
            self._dropped = dropped

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = self._waiting[0]
            try:
                done = self._write_waiting(data)
            except OSError as error:
                with self._changed:
                    self._fail(error, data)
                    self._written(len(data))
            else:
                with self._changed:
                    self._written(done)

    def _write_waiting(self, data: memoryview) -> int:
        """Wait until the screen takes more, in the thread."""
        if self._put is None:
            return os.write(self._descriptor, data[:PIECE])
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll()
        try:
            return self._put(data[:PIECE])
        except BlockingIOError:  # another writer of the same pipe was faster
            return 0

    def _written(self, size: int) -> None:
        if self._is_gone:
            return
        self._size -= size
        if size < len(self._waiting[0]):
            self._waiting[0] = self._waiting[0][size:]
        else:
            self._waiting.popleft()
        if not self._waiting and self._why:
            self._tell()
        if not self._waiting:
            self._changed.notify_all()

    def finish(self, patience: float) -> None:
        """Wait for the screen to take what waits, for `patience` seconds; from then on it takes at once or nothing."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, patience)
            self._is_finished = True


def _without_waiting(descriptor: int) -> Callable[[Any], int] | None:
    """A function that writes what is taken now; None where there is none, so that the thread has to write all.

    The descriptor itself is not made non-blocking: others have the same, the shell among them.
    """
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):  # a disk is no reader
        return partial(os.write, descriptor)
    if stat.S_ISSOCK(kind):  # as systemd gives it
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            return partial(_send, connection.dup())
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # a pipe of another user, or no Linux
        return None
    return partial(os.write, own)


def _send(connection: socket.socket, data: memoryview) -> int:
    return connection.send(data, socket.MSG_DONTWAIT)
