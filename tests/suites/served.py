"""A system that runs as its users start it, by `meristem run` in a folder, for a test that asks it by HTTP."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from meristem.supervision.lifeline import LIFELINE, Lifeline

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 90.0  # seconds for what takes a few on an idle machine
LINE = Lifeline()  # open as long as this process lives: what it starts ends with it, however it ends
RUNS_AT = re.compile(r"runs at (http://\S+)")


def copied(source: Path, folder: Path) -> Path:
    """A copy of an example's folder without its tests: one folder runs a system once at a time."""
    return shutil.copytree(source, folder, ignore=shutil.ignore_patterns("tests", "__pycache__", ".meristem"))


class Served:
    """One run: of which system in which folder, where it answers, and what it has written so far."""

    def __init__(self, folder: Path, system: str, process: subprocess.Popen[str]) -> None:
        self.folder, self.system, self.address = folder, system, ""
        self.lines: list[str] = []
        self._process = process
        self._has_ended = False
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait(self) -> None:
        """Return when it answers; AssertionError with its lines where it has ended instead, or takes too long."""
        found = RUNS_AT.search(self.shows(" runs at "))
        assert found is not None
        self.address = found[1]

    def shows(self, *parts: str) -> str:
        """The line that has all the parts, as soon as there is one; AssertionError with what there is instead."""
        with self._more:
            self._more.wait_for(lambda: self._has_ended or self._having(parts), PATIENCE)
            lines = self._having(parts)
            assert lines, f"no line has {', '.join(parts)}:\n{''.join(self.lines)}"
            return lines[0]

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._has_ended

    def kill(self) -> None:
        """End it as the kernel would, all at once: itself, and the processes that it has started."""
        started = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for each in (self._process.pid, *map(int, started)):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """End it, and what it has started."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._reader.join()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _having(self, parts: tuple[str, ...]) -> list[str]:
        return [line for line in self.lines if all(part in line for part in parts)]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()
        with self._more:
            self._has_ended = True
            self._more.notify_all()


def start(folder: Path, system: str, placement: str | None = None, **environment: str) -> Served:
    """Start a system of a folder at a free port, by the text of a placement where one is given; `end` it."""
    words = [sys.executable, "-m", "meristem", "run", system, "--port", "0"]
    if placement is not None:
        (folder / "placement.toml").write_text(placement)
        words += ["--placement", "placement.toml"]
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=os.environ | {LIFELINE: str(LINE.reading)} | environment,
        pass_fds=[LINE.reading],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Served(folder, system, process)


@contextmanager
def served(folder: Path, system: str, placement: str | None = None) -> Iterator[Served]:
    """Run a system of a folder at a free port, by the text of a placement where one is given."""
    run = start(folder, system, placement)
    try:
        run.wait()
        yield run
    finally:
        run.end()
