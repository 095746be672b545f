"""`meristem run --reload`: starts the system again whenever its code changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from meristem.lifecycle import ENDING
from meristem.supervision.lifeline import LIFELINE, Lifeline
from meristem.system.state_directory import HOME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CODE: Final = (".py", ".toml")  # pages are read anew by their template engines; logs and uploads are no code
IGNORED: Final = (HOME, ".venv", "venv", ".tox", ".nox", "build", "dist")
LOOK: Final = 200  # milliseconds between two looks whether the system has ended
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_reloading(arguments: Sequence[str], directory: Path, *, placed: bool) -> int:
    """Run `meristem ARGUMENTS`, again after each change of code below `directory`; returns the last exit code.

    A system that ended by a fault is started again at the next change. SIGINT, SIGTERM and SIGHUP end it as they
    would without reloading. One that is `placed` has a supervisor, which is waited for however long its processes take.
    """
    from watchfiles import DefaultFilter, watch  # noqa: PLC0415 - watching is for development

    class CodeFilter(DefaultFilter):
        def __call__(self, change: object, path: str) -> bool:
            return path.endswith(CODE) and super().__call__(change, path)  # type: ignore[arg-type]

    ended = threading.Event()
    chosen = CodeFilter(ignore_dirs=(*DefaultFilter.ignore_dirs, *IGNORED))
    changes = watch(
        directory,
        watch_filter=chosen,
        stop_event=ended,
        rust_timeout=LOOK,
        yield_on_timeout=True,
        raise_interrupt=False,
    )
    next(changes)  # watching begins here: no change after the first start is missed
    lifeline = Lifeline()
    system = _Child(arguments, lifeline, patience=None if placed else ENDING)
    with _passing_on(system, ended):
        system.start()
        for changed in changes:
            if changed:
                click.secho(f"{_names(changed, directory)} changed; starting again", fg="yellow")
                system.end()
                if ended.is_set():
                    break
                system.start()
            elif system.has_ended_well:
                break
        code = system.end()
    lifeline.close()
    return code


def _names(changed: Iterable[tuple[object, str]], directory: Path) -> str:
    names = sorted({str(Path(path).relative_to(directory.resolve())) for _, path in changed})
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


class _Child:
    """The system that runs; it ends with this process, however that ends.

    On a terminal it stays in the foreground, so that a debugger in it can be talked to; a Ctrl-C then reaches it by
    the terminal. Elsewhere it has a session of its own and hears of every signal by us alone: two would end it at once.
    """

    def __init__(self, arguments: Sequence[str], lifeline: Lifeline, *, patience: float | None) -> None:
        self._command = [sys.executable, "-m", "meristem", *arguments]
        self._environment = {**os.environ, LIFELINE: str(lifeline.reading)}
        self._descriptor = lifeline.reading
        # A supervisor ends its processes one after the other, each in its time; killed, it would leave orphans.
        self._patience = patience
        self._in_foreground = sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    @property
    def has_ended_well(self) -> bool:
        """Whether it ended by itself and without a fault, so that there is nothing to wait for."""
        return self._process is not None and self._process.poll() == 0

    def start(self) -> None:
        self._told = False
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            env=self._environment,
            pass_fds=[self._descriptor],
            start_new_session=not self._in_foreground,
        )

    def hear(self, number: int) -> None:
        """Pass a signal on, unless the terminal has sent it there itself."""
        if number == signal.SIGINT and self._in_foreground:
            self._told = True
        else:
            self._tell(number)

    def end(self) -> int:
        """Ask it to end unless that was done, and make it end when its patience is over; its exit code."""
        process = self._process
        if process is None:
            return 0
        if not self._told:
            self._tell(signal.SIGTERM)  # not SIGINT: a shell has what it starts in the background ignore that
        try:
            return process.wait(self._patience)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _tell(self, number: int) -> None:
        self._told = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


@contextmanager
def _passing_on(system: _Child, ended: threading.Event) -> Iterator[None]:
    """Signals go to the system, and the first ends the watching."""

    def hear(number: int, _frame: object) -> None:
        system.hear(number)
        ended.set()

    before = {number: signal.signal(number, hear) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
