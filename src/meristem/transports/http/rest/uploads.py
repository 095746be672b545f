"""Uploads over REST: a body as it is sent, or a form, becomes items that are taken while it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.call import Call
from meristem.contracts.codec import refusal
from meristem.contracts.file_part import FilePart
from meristem.contracts.items import IncomingItems, broken_off
from meristem.contracts.rest_fields import FORM
from meristem.errors import CallError, Code
from meristem.transports.http.compression import ENCODING
from meristem.transports.http.errors import RefusedError
from meristem.transports.http.media import media_of
from meristem.transports.http.responses import OCTETS
from meristem.transports.http.rest.codec import check_media

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.context import Identity
    from meristem.contracts.call import Handler
    from meristem.contracts.operation import Operation
    from meristem.errors import Fault
    from meristem.transports.authorize import Principal
    from meristem.transports.http.request import PieceSource
    from meristem.transports.http.responses import Response
    from meristem.transports.http.rest.codec import RestCodec, RestRequest
    from meristem.transports.http.rest.downloads import DownloadStream
    from meristem.transports.http.rest.streaming import ReplyStream

PARSED: Final = 4096  # bytes of a form that are read in one turn of the event loop: parts may be a few bytes each
MOST_HEADERS: Final = 16  # of a part
HEADER_BYTES: Final = 8 * 1024


class UploadReader:
    """Gives what has arrived of a body, all of which may have `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._data = bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def next(self) -> bytes | None:
        """What has arrived since, if anything has; raises ValueError above the limit."""
        self._taken += len(self._data)
        if self._taken > self._limit:
            raise ValueError(f"an upload of more than {self._limit} bytes")
        data = bytes(self._data)
        self._data.clear()
        return data or None


class UploadCodec:
    """One request whose body is an upload; all else in it is read and answered by `inner`."""

    def __init__(self, inner: RestCodec, source: PieceSource[bytes]) -> None:
        self.operation: Operation = inner.operation
        self.handler: Handler = inner.handler
        self._inner = inner
        self._source = source

    def read(self, request: RestRequest, principal: Principal | None, user: Identity | None) -> Call:
        """The call, whose items are read when they are asked for; raises CallError as `RestCodec.read`."""
        inner, upload = self._inner, self._inner.binder.upload
        assert upload is not None  # else the contract would have been refused
        context = inner.context(request, principal, user)
        head, limit = request.head, inner.limits.upload_bytes
        media = head.get(b"content-type", OCTETS)
        check_media(media_of(head) or media, upload.media)
        if head.get(ENCODING, b"identity").lower() != b"identity":
            raise RefusedError(Code.INVALID_ARGUMENT, 415, "an upload is taken as it is sent: without content-encoding")
        if int(head.get(b"content-length", b"0")) > limit:
            raise too_long(limit)
        values = inner.binder.beside(request.placeholders, request.query, head, request.client)
        field = None if upload.field is None else upload.field.name
        if field is not None:
            inner.binder.check_whole(values, without=field)
        make = partial(_item, self.operation.request, values, field)
        if upload.media == FORM:
            return Call(self.operation, FormItems(self.operation, self._source, limit, make, media), context)
        return Call(self.operation, UploadItems(self.operation, self._source, limit, make), context)

    def reply(self, request: RestRequest, reply: Any) -> Response | ReplyStream | DownloadStream:
        return self._inner.reply(request, reply)

    def failure(self, request: RestRequest, error: Fault | CallError) -> Response:
        return self._inner.failure(request, error)


def _item(request: Any, values: dict[str, Any], field: str | None, piece: Any) -> Any:
    if field is None:
        return piece
    try:
        return request(**values, **{field: piece})
    except (ValueError, TypeError) as error:  # a message's own __post_init__
        raise refusal(error) from None


def too_long(limit: int) -> RefusedError:
    """The refusal of an upload above the limit."""
    message = f"an upload may have {limit} bytes; raise `upload_bytes` of [server]"
    return RefusedError(Code.INVALID_ARGUMENT, 413, message)


class UploadItems(IncomingItems):
    """The pieces of a body as they arrive, each of which `make` makes an item of."""

    def __init__(
        self, operation: Operation, source: PieceSource[bytes], limit: int, make: Callable[[Any], Any]
    ) -> None:
        super().__init__()
        self._operation = operation
        self._source = source
        self._limit = limit
        self._make = make

    async def read(self) -> Any:
        piece = await self._taken()
        if piece is None:
            raise StopAsyncIteration
        return self._make(piece)

    async def _taken(self) -> bytes | None:
        try:
            return await self._source.take()
        except ValueError:
            raise too_long(self._limit) from None
        except ConnectionError:
            raise broken_off(self._operation.label) from None


class FormItems(UploadItems):
    """The parts of a form (RFC 7578): one item with the names of each, then those with its content."""

    def __init__(
        self,
        operation: Operation,
        source: PieceSource[bytes],
        limit: int,
        make: Callable[[Any], Any],
        media: bytes,
    ) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header  # noqa: PLC0415 - forms alone

        super().__init__(operation, source, limit, make)
        boundary = parse_options_header(media)[1].get(b"boundary")
        if not boundary:
            raise _unreadable("its content-type names no boundary")
        self._options = parse_options_header
        self._ready: deque[FilePart] = deque()
        self._arrived = b""
        self._at = 0  # the first byte of it that is not parsed
        self._ended = False
        self._header: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        callbacks: Any = {
            "on_part_begin": self._header.clear,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_part,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(
                boundary, callbacks, max_header_count=MOST_HEADERS, max_header_size=HEADER_BYTES
            )
        except ValueError as error:
            raise _unreadable(str(error)) from None

    async def read(self) -> Any:
        while not self._ready:
            if self._at >= len(self._arrived):
                self._arrived, self._at = await self._taken() or b"", 0
                if not self._arrived:
                    if not self._ended:
                        raise _unreadable("it is cut short")
                    raise StopAsyncIteration
            piece = self._arrived[self._at : self._at + PARSED]
            self._at += PARSED
            try:
                self._parser.write(piece)
            except ValueError as error:
                raise _unreadable(str(error)) from None
            await asyncio.sleep(0)
        return self._make(self._ready.popleft())

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._header[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_part(self) -> None:
        kind, options = self._options(self._header.get(b"content-disposition"))
        if kind != b"form-data" or not options.get(b"name"):
            raise ValueError("each part of a form has `content-disposition: form-data` with a name")
        media = self._header.get(b"content-type", b"").decode("latin-1")
        try:
            field, filename = (options.get(each, b"").decode() for each in (b"name", b"filename"))
        except UnicodeDecodeError:
            raise ValueError("the name of a part is not in UTF-8") from None
        self._ready.append(FilePart(field=field, filename=filename, media_type=media))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._ready.append(FilePart(data=data[start:end]))

    def _on_end(self) -> None:
        self._ended = True


def _unreadable(why: str) -> CallError:
    return CallError(Code.INVALID_ARGUMENT, f"the form can't be read: {why}", may_have_happened=False)
