"""Starts the processes of a benchmark, waits until they are ready, and ends every one of them by its pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.machine import on_core

ROOT = Path(__file__).parent.parent
PATHS = (
    ROOT,
    ROOT / "src",
    ROOT / "examples" / "sitekit" / "src",
    ROOT / "examples" / "hotels",
    ROOT / "examples" / "hotels" / "receipts" / "src",
)
GRACE = 15.0


class Failed(Exception):
    """A process did not do what it was started for; the message holds its last lines."""


class Started:
    """A process that runs; its lines are read all the time, so that it never waits for us."""

    def __init__(self, process: subprocess.Popen[str], ready: str, log: Path | None = None) -> None:
        self.process = process
        self.pid = process.pid
        self.lines: deque[str] = deque(maxlen=60)
        self.ready_line = ""
        self._marker = ready
        self._log = log
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with nullcontext() if self._log is None else self._log.open("a", buffering=1) as log:
            for line in self.process.stdout:
                self._heard(line)
                if log is not None:
                    log.write(line)
        self._ready.set()

    def _heard(self, line: str) -> None:
        self.lines.append(line)
        if not self._ready.is_set() and self._marker in line:
            self.ready_line = line.strip()
            self._ready.set()

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the line that says so; raises Failed with what it said instead."""
        if not self._ready.wait(seconds) or not self.ready_line:
            raise Failed("".join(self.lines)[-1500:] or f"it said nothing within {seconds:g} s")

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, then make it."""
        self.process.send_signal(by)
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(GRACE)
        if self.process.stdout is not None:
            self.process.stdout.close()


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the tree's own packages found first.

    They keep their bytecode, as what was installed has it: a start that compiles the framework is no user's.
    """
    path = os.pathsep.join([*map(str, PATHS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "", **more}


@contextmanager
def started(
    command: Sequence[str],
    *,
    core: int | None = None,
    folder: Path,
    ready: str = "ready",
    seconds: float = 60.0,
    variables: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    log: Path | None = None,
) -> Iterator[Started]:
    """A process on one core or all, from the line that says it is ready until the block ends; `log` keeps its lines."""
    with nullcontext() if core is None else on_core(core):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**(variables or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Started(process, ready, log)
    try:
        running.wait_until_ready(seconds)
        yield running
    finally:
        running.end(stop)


def answer_of(command: Sequence[str], *, core: int, folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """The last line that a program prints; raises Failed with its complaint."""
    return output_of(command, core=core, folder=folder, variables=variables).splitlines()[-1]


def output_of(
    command: Sequence[str],
    *,
    core: int | None,
    folder: Path,
    seconds: float = 300.0,
    variables: Mapping[str, str] | None = None,
) -> str:
    """What a program prints, on a core or on all of them; raises Failed with its complaint."""
    with nullcontext() if core is None else on_core(core):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**(variables or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        said, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed(f"it did not end within {seconds:g} s") from None
    if process.returncode or not said.strip():
        raise Failed((complaint or said)[-1500:])
    return said.strip()


def python(module: str, *arguments: str, executable: str | Path = sys.executable) -> list[str]:
    """The command that runs a module."""
    return [str(executable), "-m", module, *arguments]
