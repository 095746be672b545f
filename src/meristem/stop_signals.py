"""What asks a process to end: SIGINT, SIGTERM and SIGHUP, heard at any moment; the second one ends it at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from meristem.standard_streams import write_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HANGUP: Final = getattr(signal, "SIGHUP", None)  # the terminal was closed; there is none on Windows
AT_ONCE: Final = b"ended at once: what is durable is taken up at the next start\n"


class Interrupted(BaseException):
    """A signal asks a command that serves nothing to end; no module that it imports takes this for its own exit."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class StopSignals:
    """Hears the signals between `with` and its end: the first sets `asked`, the next calls `again`, a third leaves.

    The interpreter handles them, not the event loop: they are heard while a method of the user's holds the loop.
    A hangup only asks: a terminal that closes may send several.
    """

    def __init__(self, again: Callable[[int], object] | None = None) -> None:
        self.asked = asyncio.Event()
        self._again = again or leave
        self._heard = 0
        self._former: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._former = {each: signal.signal(each, self._hear) for each in _heeded()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _frame: object) -> None:
        if number == HANGUP and self._heard:
            return
        self._heard += 1
        if self._heard == 1 and self._loop is not None:
            self._loop.call_soon_threadsafe(self.asked.set)
        elif self._heard == 2:
            self._again(number)
        else:
            leave(number)


@contextlib.contextmanager
def exiting() -> Iterator[None]:
    """SIGTERM and SIGHUP are exceptions, as Ctrl-C is, so that what is half made is removed; a second one leaves.

    At the end of `with` they exit.
    """
    heard = 0

    def hear(number: int, _frame: object) -> None:
        nonlocal heard
        heard += 1
        if heard > 1 and number != HANGUP:
            leave(number)
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():  # only there are signals handled
        yield
        return
    former = {each: signal.signal(each, hear) for each in _heeded() if each != signal.SIGINT}
    try:
        yield
    except Interrupted as interrupted:
        sys.exit(code_of(interrupted.number))
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def leave(number: int) -> NoReturn:
    """End this process here and now."""
    write_now(2, AT_ONCE)  # no logging: this may have come in the middle of a line
    os._exit(code_of(number))


def code_of(number: int) -> int:
    """The exit code of what a signal ended, as shells tell it."""
    return 128 + number


def _heeded() -> list[int]:
    """Those that end this process: not a hangup that `nohup` has it ignore."""
    hangup = [] if HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN else [HANGUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]
