"""Writes files of which none is there yet, and says which they are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from meristem.errors import ConfigurationError


class WrittenFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: paths from `folder`, and what to do next.

    `changed` are files that were there already; `by_hand` tells what is left to add to one of them.
    """

    folder: Path
    created: Sequence[str]
    changed: Sequence[str] = ()
    by_hand: str | None = None
    next: Sequence[str] = ()


def check_free(folder: Path) -> None:
    """Raise ConfigurationError where a new project's folder has something in it, or can't be one."""
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder} exists already, and is not overwritten; choose another name, or another folder by --out"
        )


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write new files below a folder; raises ConfigurationError, and writes none, where one is there already."""
    there = [path for path in files if (folder / path).exists()]
    if there:
        raise ConfigurationError(
            f"{', '.join(there)} in {folder} would be overwritten; choose another name, or move what is there"
        )
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as writing:
                writing.write(text)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} can't be written: {error.strerror}") from None
