"""The command, run in a project's folder as a person does; whatever becomes of this process, it ends with it."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from meristem.supervision.lifeline import LIFELINE, Lifeline

LINE = Lifeline()  # open as long as this process lives: what it starts ends with it, however it ends
SOURCE = Path(__file__).parents[2] / "src"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


async def begin(
    *arguments: str,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "meristem"),
    stdin: int = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.PIPE,
    interpreter: str = sys.executable,
) -> asyncio.subprocess.Process:
    """Start the command, or another program of this interpreter or of another."""
    return await asyncio.create_subprocess_exec(
        interpreter, *program, *arguments, cwd=cwd,
        env={**(environment or {**os.environ, "PYTHONPATH": str(SOURCE)}), LIFELINE: str(LINE.reading)},
        pass_fds=[LINE.reading], stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=stderr,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process, patience: float) -> Ended:
    """What a command printed and how it ended; it is killed when `patience` seconds are over."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), patience)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
