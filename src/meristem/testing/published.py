"""What services of other processes publish, written by each of them into a file that the test's process reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.events.facts import Published

if TYPE_CHECKING:
    from meristem.events.facts import Fact

FOLDER: Final = "MERISTEM_TEST_EVENTS"
"""The variable by which a process is told where to write."""

_encode: Final = msgspec.json.Encoder(
    decimal_format="string", uuid_format="canonical", order="deterministic"
).encode  # sets and maps in one order: that of a process means nothing


class PublishedPlain(msgspec.Struct, frozen=True):
    """An event that was committed: its type, which service published it, and what it carries, as JSON has it."""

    type: str
    publisher: str
    carries: Any


def plain(value: Any) -> Any:
    """A value as JSON has it, sets and maps in one order; what JSON can't hold is its type."""
    try:
        return msgspec.json.decode(_encode(value))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return {"not JSON": type(value).__name__}


def write(fact: Fact) -> None:
    """Append an event to the file of this process; `meristem process` is told of it by `--observer`."""
    if isinstance(fact, Published):
        line = _encode(PublishedPlain(fact.type, fact.source.rpartition("/")[2], plain(fact.event)))
        # Opened for each: a process that is killed leaves whole lines.
        with (Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl").open("ab", buffering=0) as file:
            file.write(line + b"\n")


def read(folder: Path) -> list[PublishedPlain]:
    """What all processes have written."""
    lines = (line for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines())
    return [msgspec.json.decode(line, type=PublishedPlain) for line in lines]
