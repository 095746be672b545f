"""Downloads over REST: files with a name and a type, whole or piece by piece."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import quote

from meristem.contracts.file_part import FilePart
from meristem.contracts.wiretypes import is_union, struct_of, unwrap
from meristem.transports.errors import shield
from meristem.transports.http.closing import closing
from meristem.transports.http.responses import NOSNIFF, OCTETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.asgi import Field
    from meristem.contracts.operation import Operation
    from meristem.transports.http.request import ReplyWriter

logger = logging.getLogger(__name__)
MEDIA: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[\w-]+=[\w.+-]+)*", re.ASCII)
UNUSUAL: Final = re.compile(r"[^A-Za-z0-9 ._-]")
# Files are shown by what their media type says; without nosniff a browser could run an upload as a script.
INLINE: Final = (NOSNIFF, (b"content-disposition", b"inline"))


def declared_media(media: str, reply: Any) -> bytes:
    """The media type of what an operation returns; that of text says UTF-8, for browsers take it for something else."""
    known = unwrap(reply)
    kinds = get_args(known) if is_union(known) else (known,)
    if media.lower().startswith("text/") and "charset=" not in media.lower() and bytes not in kinds:
        media += "; charset=utf-8"
    return media.encode()


def media_type(file: FilePart) -> bytes:
    """The media type of a file; of one that is none, whoever wrote it, nobody is told."""
    return file.media_type.encode() if MEDIA.fullmatch(file.media_type) else OCTETS


def attachment(file: FilePart) -> Field:
    """What has a browser save a file under its name (RFC 6266, 4.1), and never show it: it may be a script.

    A name outside of ASCII stands there twice, as RFC 6266, appendix D, advises. The last part of a path is the name.
    """
    name = re.split(r"[/\\\\]", file.filename)[-1]
    if not name:
        return b"content-disposition", b"attachment"
    plain = UNUSUAL.sub("_", name)
    text = f'attachment; filename="{plain}"'
    if plain != name:
        text += f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return b"content-disposition", text.encode()


class DownloadStream:
    """The content of a file, sent as it is made: pieces of a FilePart, or bytes and text of the type `media`."""

    def __init__(self, operation: Operation, media: bytes, pieces: AsyncIterator[Any]) -> None:
        self._operation = operation
        self._media = media
        self._pieces = pieces

    async def send(self, writer: ReplyWriter) -> None:
        """Send all of it; an error before the first piece is raised, so that it has a status of its own.

        After one in the midst the connection is cut: the status is sent, and nothing else tells that a part is missing.
        """
        nothing = FilePart() if struct_of(self._operation.reply) is FilePart else b""
        async with closing(self._pieces) as pieces:
            first = await anext(pieces, nothing)
            if isinstance(first, FilePart):
                writer.start(200, media_type(first), [NOSNIFF, attachment(first)])
            else:
                writer.start(200, self._media, INLINE)
            try:
                await self._write(writer, first)
                if not writer.bodiless:  # nobody reads on, and a stream may have no end
                    async for piece in pieces:
                        await self._write(writer, piece)
            except Exception as error:  # a boundary: the head is sent
                told = shield(self._operation, error)
                logger.warning("%s: a download broke off: %s", self._operation.label, told)
                writer.abort()
                return
        await writer.write(b"", more=False)

    async def _write(self, writer: ReplyWriter, piece: FilePart | bytes | str) -> None:
        data = piece.data if isinstance(piece, FilePart) else piece
        if data and not writer.bodiless:
            await writer.write(data.encode() if isinstance(data, str) else data)
