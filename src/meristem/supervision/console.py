"""The lines of many processes on one screen: each whole, each behind the name of the process that wrote it."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # SGR foregrounds that are read well on dark and light
LONGEST: Final = 64 * 1024  # bytes of a line; what is longer is shown in pieces


class Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LONGEST:
            cut = _before_character(self._rest, LONGEST)
            lines.append(self._rest[:cut])
            self._rest = self._rest[cut:]
        return [piece.rstrip(b"\r") for line in lines for piece in _pieces(line)]

    def flush(self) -> list[bytes]:
        """The last line, if nothing ended it."""
        rest, self._rest = self._rest, b""
        return [rest.rstrip(b"\r")] if rest else []


def _pieces(line: bytes) -> Iterable[bytes]:
    while len(line) > LONGEST:
        cut = _before_character(line, LONGEST)
        yield line[:cut]
        line = line[cut:]
    yield line


def _before_character(line: bytes, cut: int) -> int:
    """The nearest place at or before `cut` that is not inside a character of UTF-8."""
    for back in range(4):
        if line[cut - back] & 0xC0 != 0x80:
            return cut - back
    return cut


class LineWriter(Protocol):
    """Where the lines of several processes go."""

    def write(self, label: str, line: bytes) -> None:
        """Take one line of what is called `label`."""
        ...


class Console:
    """Writes the lines of several processes, in colour on a terminal unless `NO_COLOR` is set (no-color.org).

    `shown` says how a line is shown, by default as it was written. What is written in a turn of the event loop reaches
    the screen at its end. The screen keeps nobody waiting (`meristem.standard_streams`).
    """

    def __init__(
        self,
        screen: BinaryIO,
        labels: Iterable[str],
        environment: Mapping[str, str],
        shown: Callable[[bytes], bytes] = bytes,
    ) -> None:
        names = list(labels)
        self._screen = screen
        self._shown = shown
        self._width = max(map(len, names), default=0)
        self._turning: asyncio.AbstractEventLoop | None = None  # whose turn will end with a flush
        self._before = lru_cache(64)(self._prefix)
        coloured = is_coloured(screen, environment)
        groups = list(dict.fromkeys(_group(each) for each in names))
        self._colours = {
            each: COLOURS[groups.index(_group(each)) % len(COLOURS)] for each in names if coloured and groups
        }

    def write(self, label: str, line: bytes) -> None:
        """Write one line behind its label, and each of the lines that it is shown as."""
        before = self._before(label)
        self._screen.write(b"".join([before + each + b"\n" for each in self._shown(line).split(b"\n")]))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
        else:
            if loop is not self._turning:
                self._turning = loop
                loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._turning = None
        self._screen.flush()

    def _prefix(self, label: str) -> bytes:
        prefix = f"{label:<{self._width}} |"
        colour = self._colours.get(label)
        return (f"\x1b[{colour}m{prefix}\x1b[0m " if colour is not None else f"{prefix} ").encode()


def is_coloured(screen: BinaryIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written there may have colours."""
    return screen.isatty() and not environment.get("NO_COLOR")


def _group(label: str) -> str:
    """The process of a replica's label: all its replicas have one colour."""
    name, dash, replica = label.rpartition("-")
    return name if dash and replica.isdecimal() else label
