"""Takes the body of a request in before a thread is spent on it: a slow client keeps no thread busy."""

from __future__ import annotations

import asyncio
import io
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final

IN_MEMORY: Final = 256 * 1024  # bytes of a body; what goes beyond waits in a temporary file


class TooLargeError(Exception):
    """The body has more bytes than may be."""


class UploadAbortedError(Exception):
    """The client left before its body was complete."""


async def receive_body(receive: Any, limit: int, *, declared: int) -> tuple[BinaryIO, int]:
    """The body from its beginning, and how many bytes it has; raises TooLargeError and UploadAbortedError.

    One that is `declared` too large is not asked for: its client hears no "100 Continue".
    """
    if declared > limit:
        raise TooLargeError
    upload = Upload(limit)
    try:
        while await _receive(receive, upload):
            pass
        return await upload.rewound(), upload.size
    except BaseException:
        upload.close()
        raise


async def _receive(receive: Any, upload: Upload) -> bool:
    """Take one event; whether more will follow."""
    event = await receive()
    if event["type"] == "http.disconnect":
        raise UploadAbortedError
    await upload.add(event.get("body", b""))
    return bool(event.get("more_body", False))


class Upload:
    """A body that arrives."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory = io.BytesIO()
        self._file: BinaryIO | None = None
        self.size = 0

    async def add(self, data: bytes) -> None:
        """Take the next bytes; the disk is written to in a thread, the event loop must not wait for it."""
        self.size += len(data)
        if self.size > self._limit:
            raise TooLargeError
        self._memory.write(data)
        if self._memory.tell() > IN_MEMORY:
            await self._spill()

    async def rewound(self) -> BinaryIO:
        """What arrived, to be read from its beginning."""
        if self._file is None:
            self._memory.seek(0)
            return self._memory
        await self._spill()
        await asyncio.to_thread(self._file.seek, 0)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def _spill(self) -> None:
        data, self._memory = self._memory.getbuffer(), io.BytesIO()
        if self._file is None:
            self._file = await asyncio.to_thread(TemporaryFile)
        await asyncio.to_thread(self._file.write, data)
