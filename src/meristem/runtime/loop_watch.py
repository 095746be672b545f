"""Watches the event loop of this process: tells that it turns, and what holds it when it is late."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections import deque
from itertools import takewhile
from time import monotonic
from typing import TYPE_CHECKING, Final

from meristem.config.project import is_own
from meristem.telemetry.metrics import Measure
from meristem.telemetry.sampling import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from meristem.telemetry.metrics import Registry

logger = logging.getLogger(__name__)
TURN: Final = 0.5  # seconds between two beats
LOOKED: Final = 4  # beats, of which who looks once a second sees each
QUIET: Final = 10.0  # seconds between two warnings
IMPORTS: Final = "<frozen importlib._bootstrap>"  # the file of the frames of Python's own that import a module
LOOP: Final = ("asyncio/events.py", "asyncio/runners.py")  # the files of the frames that run an event loop
DEEPEST: Final = 12  # frames that are shown, the innermost ones


class LoopLag:
    """How late an event loop came to what was due, each half second: what it does between two turns makes it late."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=LOOKED)

    def add(self, seconds: float) -> None:
        self._seen.append(seconds)

    @property
    def worst(self) -> float:
        """In seconds, of the last two seconds."""
        return max(self._seen, default=0.0)


class LoopWatch:
    """Between `start` and `stop`, calls `beat` as long as the loop turns, and warns when it is held for `late` seconds.

    The warning has the stack of what holds it, taken by a thread while it does; how often and how long it was held is
    counted in `registry`. Code that lets no other thread run is counted, too, but not seen. While the process
    `is_starting`, nobody waits behind it: then only what the project's own code does is told, and no import. Each
    delay is told to `lag`.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        late: float,
        beat: Callable[[], None],
        is_starting: Callable[[], bool],
        lag: LoopLag | None = None,
    ) -> None:
        self._lag = lag or LoopLag()
        self._late = late
        self._beat = beat
        self._is_starting = is_starting
        self._turned = 0.0
        self._times: dict[tuple[str, ...], float] = {(): 0.0}
        self._seconds: dict[tuple[str, ...], float] = {(): 0.0}
        self._shown = False  # whether the present delay's stack was shown
        self._allowance = Allowance(1 / QUIET, monotonic())
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        for name, text, figure in (
            ("meristem_event_loop_held_total", "Times that the event loop was held too long.", self._times),
            ("meristem_event_loop_held_seconds_total", "Seconds for which it was held then.", self._seconds),
        ):
            registry.add(Measure(name, text, "counter", (), figure.copy))

    async def start(self) -> None:
        self._turned = monotonic()
        self._ended.clear()
        self._turn()
        watch = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="loop watch", daemon=True)
        watch.start()

    async def drain(self) -> None:
        """The loop turns to the end."""

    async def stop(self) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        now = monotonic()
        held = now - self._turned - TURN
        self._lag.add(max(held, 0.0))
        if held > self._late:
            self._times[()] += 1
            self._seconds[()] += held
            if self._shown:
                logger.warning("the event loop turns again after %.1f s", held)
        self._turned, self._shown = now, False
        self._beat()
        self._timer = asyncio.get_running_loop().call_later(TURN, self._turn)

    def _watch(self, thread: int) -> None:
        pause = min(TURN, self._late) / 2
        looked = monotonic()
        while not self._ended.wait(pause):
            before, looked = looked, monotonic()
            held = looked - self._turned - TURN
            # A process that stood still as a whole (stopped, or without a processor) is not late by its own doing.
            if held > self._late and looked - before < 2 * pause + self._late and not self._shown:
                self._show(held, sys._current_frames().get(thread))  # noqa: SLF001 - documented; for debuggers

    def _show(self, held: float, frame: FrameType | None) -> None:
        if self._is_starting() and not _is_by_the_project(frame):
            return
        if self._allowance.take(monotonic()):
            self._shown = True
            stack = "".join(traceback.format_stack(frame)[-DEEPEST:]) if frame is not None else ""
            logger.warning(
                "the event loop has been held for %.1f s, and with it all that this process does, by:\n%s"
                "let it wait with `await`, or move it to a thread: asyncio.to_thread(...)",
                held, stack,
            )  # fmt: skip


def _is_by_the_project(frame: FrameType | None) -> bool:
    """Whether code of the project runs there that is not being imported."""
    files = [each.f_code.co_filename for each, _ in traceback.walk_stack(frame)] if frame is not None else []
    # What calls the loop may be the project's as well, or the command's own script.
    within = list(takewhile(lambda file: not file.endswith(LOOP), files))
    return IMPORTS not in within and any(map(is_own, within))
