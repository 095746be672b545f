"""Folders and files of data: for the user alone who runs the system, whatever the umask lets others have."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER: Final = 0o700
FILE: Final = 0o600
SHARED: Final = 0o666
"""The rights of a file that others may read as far as the umask lets them: one that the user asked for, not of data."""


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


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Put a whole file in the place of the one that is there: who reads it sees the old one or the new one.

    What is `durable` is on the disk before it takes that place, which takes the disk's time.
    """
    with written_beside(path, content, durable=durable) as beside:
        beside.replace(path)


@contextlib.contextmanager
def written_beside(path: Path, content: bytes, *, durable: bool = False, rights: int = FILE) -> Iterator[Path]:
    """A whole file that is yet to take the place of `path`; what has not taken it in the end is gone."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_file(beside, content, durable=durable, rights=rights)
        with contextlib.suppress(FileNotFoundError):  # who gave it other rights, as for a group, keeps them
            beside.chmod(path.stat().st_mode & 0o777)
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def write_file(path: Path, content: bytes, *, durable: bool = False, rights: int = FILE) -> None:
    """Write a whole file anew."""
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, rights)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one who changes a file: of two commands at once neither must lose what the other writes.

    The lock is a file beside it that stays, for the file itself is another one after each change.
    """
    with _lock_beside(path) as descriptor:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of `locked`, or learn by False that another holds it: what it does need not be done twice."""
    with _lock_beside(path) as descriptor:
        is_free = True
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                is_free = False
        yield is_free


@contextlib.contextmanager
def _lock_beside(path: Path) -> Iterator[int]:
    """The file beside another that is locked in its stead; closing it gives the lock back."""
    make_folder(path.parent)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, FILE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
