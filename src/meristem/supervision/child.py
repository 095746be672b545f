"""One operating system process that is kept: started, listened to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from typing import TYPE_CHECKING, Final

from meristem.descriptors import remedy
from meristem.errors import ConfigurationError
from meristem.supervision.confinement import LOOK
from meristem.supervision.console import Lines
from meristem.supervision.heartbeat import HEARTBEAT, STACKS, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from meristem.supervision.confinement import Confinement

REMEMBERED: Final = 12  # last lines, to be shown when it fails
CHUNK: Final = 65536
WRITING: Final = 0.2  # seconds for a process that hangs to write its stacks
LINGER: Final = 1.0  # seconds for what its own children still write to its output


class Command:
    """What to start: arguments, environment, folder, and descriptors that it inherits.

    With `whole`, its end is asked of all the processes that it starts too, as for a shell or `npm start`. With `beats`
    it tells by a heartbeat that it turns. `confinement` bounds what it takes.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        descriptors: Sequence[int] = (),
        whole: bool = False,
        beats: bool = False,
        confinement: Confinement | None = None,
    ) -> None:
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.descriptors = descriptors
        self.whole = whole
        self.beats = beats
        self.confinement = confinement


class Child:
    """A process in a session of its own, so that a Ctrl-C on the terminal reaches only its supervisor.

    `ended` is set when it has ended and everything it wrote was given to `line`.
    """

    def __init__(self, command: Command, line: Callable[[bytes], None]) -> None:
        self.command = command
        self.ended = asyncio.Event()
        self.code: int | None = None
        self.last: deque[str] = deque(maxlen=REMEMBERED)
        self._line = line
        self._was_over = False
        self._process: asyncio.subprocess.Process | None = None
        self._heart: Heartbeat | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and not self.ended.is_set() else None

    async def start(self) -> None:
        """Start it; raises ConfigurationError for a command that is not there."""
        # A pipe of our own: the end of asyncio's waits for everybody who holds it, grandchildren included.
        output, inherited = os.pipe()
        self._heart = heart = Heartbeat() if self.command.beats else None
        try:
            self._process = await self._spawn(inherited, heart)
        except BaseException as error:
            os.close(output)
            if heart is not None:
                heart.close()
            if isinstance(error, OSError):
                why = f"{error.strerror}{remedy(error)}"
                raise ConfigurationError(f"cannot start {self.command.arguments[0]!r}: {why}") from None
            raise
        finally:
            os.close(inherited)
            if heart is not None:
                heart.began()
        try:
            if self.command.confinement is not None:
                self.command.confinement.confine(self._process.pid)
        except OSError as error:
            self.kill()
            raise ConfigurationError(f"cannot be kept within memory= and cpu= of its placement: {error}") from error
        finally:  # also what could not be bounded is followed to its end
            self._following = asyncio.get_running_loop().create_task(self._follow(self._process, output))

    async def _spawn(self, output: int, heart: Heartbeat | None) -> asyncio.subprocess.Process:
        command = self.command
        beating = {} if heart is None else {HEARTBEAT: str(heart.writing)}
        return await asyncio.create_subprocess_exec(
            *command.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**command.environment, **beating},
            cwd=command.directory,
            pass_fds=[*command.descriptors, *map(int, beating.values())],
            start_new_session=True,
        )

    async def _follow(self, process: asyncio.subprocess.Process, output: int) -> None:
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb", 0))
        reading = loop.create_task(self._read(stream))
        self.code = await self._ended(process)
        if self.command.whole:
            _signal_group(process.pid, signal.SIGKILL)  # what it left behind would keep its port
        await asyncio.wait({reading}, timeout=LINGER)
        reading.cancel()
        await asyncio.wait({reading})
        pipe.close()
        if self._heart is not None:
            self._heart.close()
            self._heart = None
        self.ended.set()

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for its end, which comes at once when it takes more memory than it may."""
        confinement = self.command.confinement
        if confinement is None:
            return await process.wait()
        waiting = asyncio.ensure_future(process.wait())
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=LOOK if confinement.is_watched else None)
            if confinement.is_watched and not waiting.done() and confinement.is_over(process.pid):
                self.kill()
        code = waiting.result()
        self._was_over = code == -signal.SIGKILL and confinement.was_over()
        await confinement.release()
        return code

    def end_told(self) -> str:
        """How it ended: `exit code 3`, `killed by SIGKILL`, and why if that was for its memory."""
        confinement = self.command.confinement
        told = describe_end(self.code)
        return f"{told}: {confinement.reason()}" if self._was_over and confinement is not None else told

    async def _read(self, stream: asyncio.StreamReader) -> None:
        lines = Lines()
        try:
            while data := await stream.read(CHUNK):
                self._give(lines.feed(data))
        finally:
            self._give(lines.flush())

    def _give(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self.last.append(line.decode(errors="replace"))
            self._line(line)

    @property
    def has_beaten(self) -> bool:
        """Whether a heartbeat has come since this was asked last."""
        return self._heart is not None and self._heart.came()

    async def kill_with_its_stacks(self) -> None:
        """End it at once; if it beats, it is first asked to write where it stands."""
        if self.command.beats and self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, STACKS)
            await asyncio.sleep(WRITING)
        self.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is None or self._process.returncode is not None:
            return
        if self.command.whole:
            _signal_group(self._process.pid, signal.SIGTERM)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process.pid, signal.SIGKILL)

    async def end(self, grace: float) -> None:
        """Ask it to end, and make it end when it has not after `grace` seconds."""
        if self._process is None:
            return
        self.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.ended.wait()
        self.kill()
        await self.ended.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # ended already; macOS says so of a zombie
        os.killpg(pid, number)


def describe_end(code: int | None) -> str:
    """How a process ended: `exit code 3`, `killed by SIGKILL`."""
    if code is None:
        return "unknown end"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
