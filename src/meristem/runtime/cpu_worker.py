"""A process that computes for this one; it can be killed in the midst of it, and never outlives this one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from meristem.errors import CallError, Code, WiringError
from meristem.runtime.cpu_link import FAILED, LOGGED, TAKEN, packed, packed_recipe, receive, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.runtime.cpu_link import Recipe, Task


logger = logging.getLogger(__name__)


class GoneError(Exception):
    """A worker had died before it began what it was given."""


class CpuWorker:
    """One worker, which runs one task at a time between `start` and `kill`."""

    def __init__(self, label: str, recipe: Recipe, environment: Mapping[str, str]) -> None:
        self._label = label
        self._recipe = recipe
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._life: int | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._has_begun = False  # what it was last given

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None  # it has started
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it takes tasks."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Return when its service is built and started; raises what that raises, WiringError if it ends by itself."""
        ours, its = socket.socketpair()
        life, self._life = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-u",  # what a method prints is not lost with a worker that is killed
                "-m",
                "meristem.runtime.cpu_child",
                str(its.fileno()),
                str(life),
                stdin=asyncio.subprocess.DEVNULL,
                env=dict(self._environment),
                pass_fds=(its.fileno(), life),
                start_new_session=True,  # what it starts itself ends with it
            )
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            await self.kill()
            raise
        finally:
            its.close()
            os.close(life)
        try:
            self._writer.write(packed(sys.path) + packed_recipe(self._recipe))
            await self._answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.kill()
            raise WiringError(
                f"{self._label}: a worker ended before it was ready (exit code {self._process.returncode}); "
                f"what it wrote stands above"
            ) from None
        except BaseException:
            await self.kill()
            raise

    async def run(self, task: Task) -> Any:
        """What the method returns; raises what it raises.

        For a worker that dies that is CallError `unavailable`, or GoneError where it had not begun.
        """
        assert self._writer is not None  # it has started
        self._has_begun = False
        try:
            self._writer.write(packed(task))
            return await self._answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._end_group()  # what it has forked may live on
            await self.kill()
            if not self._has_begun:
                raise GoneError from None
            code = None if self._process is None else self._process.returncode
            raise CallError(Code.UNAVAILABLE, f"{self._label}: its worker died (exit code {code})") from None

    async def _answer(self) -> Any:
        assert self._reader is not None  # it has started
        while True:
            kind, data = await receive(self._reader)
            if kind == LOGGED:
                self._log(data)
            elif kind == TAKEN:
                self._has_begun = True
            elif kind == FAILED:
                error, where = unpacked(data)
                raise error from where
            else:
                return unpacked(data)

    def _log(self, data: bytes) -> None:
        # Whatever is wrong with a record: the answer of the call that wrote it is still to come.
        try:
            record = unpacked(data)
            logging.getLogger(record.name).handle(record)
        except Exception:
            logger.exception("%s: what a worker has logged can't be written", self._label)

    async def kill(self) -> None:
        """End it at once, whatever it computes."""
        if self._process is not None and self._process.returncode is None:
            self._end_group()
            await self._process.wait()
        if self._writer is not None:
            self._writer.close()
        if self._life is not None:
            os.close(self._life)
            self._life = None

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
