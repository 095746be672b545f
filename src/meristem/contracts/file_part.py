"""Files on their way, piece by piece: what an upload is to who takes it, and a download to who gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from meristem.contracts.message import Message
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class FilePart(Message):
    """A piece of a file: the first piece of each bears its names, those that follow its `data` alone.

    `field` is what it is called in a form; a part of a form without `filename` is a value that somebody has typed in.
    """

    data: bytes = b""
    field: str = ""
    filename: str = ""
    media_type: str = ""

    @property
    def begins(self) -> bool:
        """Whether a file or value begins with this piece."""
        return bool(self.field or self.filename or self.media_type)


class IncomingFile:
    """A file, or a value of a form, whose content is still on its way; iterate over its pieces, or `read` it."""

    def __init__(self, first: FilePart, parts: AsyncIterator[FilePart]) -> None:
        self.field = first.field
        self.filename = first.filename
        self.media_type = first.media_type
        self.next: FilePart | None = None  # what follows it, once that was met
        self._first: bytes | None = first.data
        self._parts = parts

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        if first:
            return first
        if self.next is not None:
            raise StopAsyncIteration
        part = await anext(self._parts)
        if part.begins:
            self.next = part
            raise StopAsyncIteration
        return part.data

    async def read(self, most: int = 1 << 20) -> bytes:
        """The whole content; raises CallError `invalid_argument` for one of more than so many bytes."""
        whole = bytearray()
        async for piece in self:
            whole += piece
            if len(whole) > most:
                name = self.filename or self.field
                raise CallError(Code.INVALID_ARGUMENT, f"{name!r} may have {most} bytes, and has more")
        return bytes(whole)


async def files_of(parts: AsyncIterator[FilePart]) -> AsyncIterator[IncomingFile]:
    """The files and values that pieces belong to, in their order: `async for file in files_of(form): …`.

    What of a file was not taken when the next is asked for is passed over.
    """
    async for part in parts:
        file = IncomingFile(part, parts)
        while True:
            yield file
            async for _ in file:
                """Passed over."""
            if file.next is None:
                return
            file = IncomingFile(file.next, parts)
