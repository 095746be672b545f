"""Folders and files of data: for the user alone who runs the system, whatever the umask lets others have."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = 0o700
FILE: Final = 0o600


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing; what exists stays as it is."""
    for each in [*reversed(path.parents), path]:
        if not each.is_dir():
            with contextlib.suppress(FileExistsError):  # by another process; a file of that name fails below
                each.mkdir(mode=FOLDER)
    path.mkdir(exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file where there is none, for a library that would make it readable for others."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE))


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file anew."""
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
