"""Files that a WSGI application answers with (`wsgi.file_wrapper`, PEP 3333)."""

from __future__ import annotations

from typing import Any, Final

BLOCK: Final = 64 * 1024


class FileWrapper:
    """A file in blocks; it can be closed, and sought in, as far as the file can.

    Frameworks that answer a `Range` of a file seek where they can and read from its beginning where they can't.
    """

    def __init__(self, file: Any, block_size: int = BLOCK) -> None:
        self._read = file.read
        self._block = block_size
        for name in ("close", "seekable", "seek", "tell"):
            if hasattr(file, name):
                setattr(self, name, getattr(file, name))

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block: bytes = self._read(self._block)
        if not block:
            raise StopIteration
        return block
