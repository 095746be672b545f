"""Files that a WSGI application answers with (`wsgi.file_wrapper`, PEP 3333)."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK: Final = 64 * 1024


class FileWrapper:
    """A file in blocks; it can be closed, and sought in, as far as the file can.

    Frameworks that answer a `Range` of a file seek where they can and read from its beginning where they can't.
    """

    close: Callable[[], Any]  # if the file has one

    def __init__(self, file: Any, block_size: int = BLOCK) -> None:
        self._file = file
        self._block = block_size
        for name in ("close", "seekable", "seek", "tell"):
            if hasattr(file, name):
                setattr(self, name, getattr(file, name))

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block: bytes = self._file.read(self._block)
        if not block:
            raise StopIteration
        return block

    def read(self, size: int) -> bytes:
        """The next bytes, none at the end."""
        data: bytes = self._file.read(size)
        return data

    def rest(self) -> int | None:
        """How many bytes are left of a file on disk; None for what only looks like one.

        An unpacking file, say, has a descriptor too, and another length.
        """
        file = self._file
        if type(file) not in (io.BufferedReader, io.BufferedRandom) or type(file.raw) is not io.FileIO:
            return None
        status = os.fstat(file.fileno())
        return max(0, status.st_size - file.tell()) if stat.S_ISREG(status.st_mode) else None
