"""Server streams in the Connect protocol: one enveloped request, enveloped replies, and a last envelope for the end."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from meristem.errors import CallError, Code, Fault
from meristem.transports.errors import shield, written
from meristem.transports.http.closing import closing
from meristem.transports.http.compression import unpacked
from meristem.transports.http.connect.errors import encode_error
from meristem.transports.http.connect.framing import COMPRESSED, END, EnvelopeReader, envelope
from meristem.transports.http.errors import too_large
from meristem.transports.http.responses import Response
from meristem.transports.unary import Signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.context import Identity
    from meristem.contracts.call import Call, Handler
    from meristem.contracts.operation import Operation
    from meristem.transports.authorize import Principal
    from meristem.transports.http.connect.codec import MessageCodec
    from meristem.transports.http.request import ReplyWriter, StreamedReply


class Enveloped(Signed, Protocol):
    """A request whose body is an envelope until it is read."""

    body: bytes


RequestT = TypeVar("RequestT", bound=Enveloped)


class StreamCodec(Generic[RequestT]):
    """Envelopes around the messages of `inner`, for one request; `encoding` is that of a compressed envelope."""

    def __init__(self, inner: MessageCodec[RequestT], *, media: bytes, encoding: bytes, limit: int, own: bool) -> None:
        self.operation: Operation = inner.operation
        self.handler: Handler = inner.handler
        self.media = media
        self._inner = inner
        self._encoding = encoding
        self._limit = limit
        self._own = own

    def read(self, request: RequestT, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError for anything but one envelope with one message."""
        request.body = self._unwrapped(request.body)
        return self._inner.read(request, principal, user)

    def reply(self, request: RequestT, replies: AsyncIterator[Any]) -> StreamedReply:
        return Envelopes(self, request, replies)

    def message(self, request: RequestT, reply: Any) -> bytes:
        """A reply in its envelope."""
        return envelope(self._inner.message(request, reply))

    def failure(self, _request: RequestT, error: Fault | CallError) -> Response | StreamedReply:
        """A stream that ends before its first reply: the status of one is always 200 (Connect, "Streaming")."""
        return Response(200, self.media, self.end(error))

    def end(self, error: Fault | CallError | None) -> bytes:
        """The last envelope."""
        if error is None:
            return envelope(b"{}", END)
        return envelope(b'{"error":' + encode_error(self.operation, error, own=self._own) + b"}", END)

    def _unwrapped(self, body: bytes) -> bytes:
        try:
            envelopes = list(islice(EnvelopeReader(self._limit).feed(body), 2))  # of millions two are enough
        except ValueError:
            raise too_large(self._limit) from None
        if len(envelopes) != 1:
            message = f"a server stream takes one enveloped message, not {'several' if envelopes else 'none'}"
            raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
        flags, message_bytes = envelopes[0]
        return unpacked(self._encoding if flags & COMPRESSED else b"identity", message_bytes, self._limit)


class Envelopes:
    """The replies to one request, ready to be sent."""

    def __init__(self, codec: StreamCodec[Any], request: Any, replies: AsyncIterator[Any]) -> None:
        self._codec = codec
        self._request = request
        self._replies = replies

    async def send(self, writer: ReplyWriter) -> None:
        """Send every reply, and how the stream ended; the head says nothing of the outcome."""
        codec, ending = self._codec, None
        writer.start(200, codec.media)
        try:
            async with closing(self._replies) as replies:
                async for reply in replies:
                    await writer.write(codec.message(self._request, reply))
        except Exception as failure:  # a boundary: the status is sent, so the last envelope tells of the error
            ending = written(codec.operation, shield(codec.operation, failure), codec.end)
        await writer.write(codec.end(None) if ending is None else ending, more=False)
