"""What an edge has made of a `[gateway]` table that was changed while it runs, for who asked it to take that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.private_files import make_folder, write_file

if TYPE_CHECKING:
    from pathlib import Path

NOTES: Final = "gateway"


class GatewayNote(msgspec.Struct, frozen=True):
    """The process, how often it was asked, and what kept the last table from being in force there."""

    pid: int
    number: int
    problem: str | None = None


def write_note(state: Path, label: str, note: GatewayNote) -> None:
    """Tell it; a reader sees the old note or the new one. Whoever may not write there runs all the same."""
    with contextlib.suppress(OSError):
        make_folder(state / NOTES)
        written = state / NOTES / f"{label}.new"
        write_file(written, msgspec.json.encode(note))
        written.replace(state / NOTES / f"{label}.json")


def read_note(state: Path, label: str, pid: int) -> GatewayNote:
    """What the process has told last; number 0 where it was not asked yet."""
    try:
        note = msgspec.json.decode((state / NOTES / f"{label}.json").read_bytes(), type=GatewayNote)
    except (OSError, msgspec.DecodeError):
        return GatewayNote(pid, 0)
    return note if note.pid == pid else GatewayNote(pid, 0)
