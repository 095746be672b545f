"""Runs pytest as often as it takes: each run in a process of its own, with the placement that it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError
from meristem.supervision.lifeline import LIFELINE, Lifeline, variable
from meristem.testing.divided.choice import Choice
from meristem.testing.divided.recorded import RecordedTest, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.testing.watching import Where

ENDING: Final = 30.0  # seconds for pytest to end what its tests began, when it is asked to
PASSED, FAILED, INTERRUPTED, NOTHING = 0, 1, 2, 5  # pytest's own exit codes
PLUGIN: Final = "meristem.testing.divided.plugin"


class Run(msgspec.Struct):
    """What a run of the tests gave, in how many seconds."""

    tests: dict[str, RecordedTest]
    seconds: float


class WrongArgumentsError(ConfigurationError):
    """Pytest does not take its arguments, or finds no test by them."""


class Runs:
    """Runs the tests that `arguments` mean to pytest, but those at or below `off`."""

    def __init__(self, arguments: Sequence[str], off: Sequence[str], directory: Path) -> None:
        self._arguments = arguments
        self._off = list(off)
        self._directory = directory

    def run(self, where: Where, only: Sequence[str] | None = None) -> Run:
        """Run the tests in a placement; raises ConfigurationError when pytest cannot."""
        with tempfile.TemporaryDirectory(prefix="meristem-divided-") as folder:
            records = Path(folder) / "records"
            records.mkdir()
            choice = Path(folder) / "choice.json"
            choice.write_bytes(msgspec.json.encode(Choice(None if only is None else list(only), self._off)))
            command = [sys.executable, "-m", "pytest", *self._arguments, "-p", PLUGIN, f"--divided-where={where}"]
            command += [f"--divided-records={records}", f"--divided-choice={choice}"]
            began = time.monotonic()
            code, output = self._pytest(command, Path(folder) / "output")
            if code not in (PASSED, FAILED):
                _refuse(code, output)
            return Run(read(records), time.monotonic() - began)

    def _pytest(self, command: Sequence[str], output: Path) -> tuple[int, str]:
        line = Lifeline()  # pytest ends when this process does, however that goes
        with output.open("wb") as file:
            # In a session of its own: a Ctrl-C in the terminal is for this process, which hands it on once.
            process = subprocess.Popen(  # noqa: S603 - this interpreter, with the arguments of whoever runs this
                command, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True, env=os.environ | {LIFELINE: variable([line.reading])}, pass_fds=[line.reading],
            )  # fmt: skip
            try:
                code = process.wait()
            except BaseException:
                _end(process)
                raise
            finally:
                line.close()
        return code, output.read_text(encoding="utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End pytest as Ctrl-C does, so that it ends what its tests began; and in the end at any rate."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(ENDING)
    except BaseException:  # a second signal, too
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _refuse(code: int, output: str) -> None:
    if code == NOTHING:
        raise WrongArgumentsError(f"pytest found no test:\n{output}")
    if code in (INTERRUPTED, -signal.SIGINT) or code < 0:
        raise ConfigurationError(f"pytest could not run the tests:\n{output}")
    raise WrongArgumentsError(f"pytest refused:\n{output}")
