"""Requests that are streams in the Connect protocol: envelopes that are read while the call is answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from meristem.contracts.call import Call
from meristem.contracts.items import IncomingItems, broken_off
from meristem.errors import CallError, Code
from meristem.transports.http.compression import unpacked
from meristem.transports.http.connect.framing import COMPRESSED, END
from meristem.transports.http.connect.streaming import Envelopes, RequestT, StreamCodec
from meristem.transports.http.errors import too_large
from meristem.transports.unary import LIGHT, READER

if TYPE_CHECKING:
    from meristem.context import Identity
    from meristem.errors import Fault
    from meristem.transports.authorize import Principal
    from meristem.transports.http.connect.codec import MessageCodec
    from meristem.transports.http.request import PieceSource, ReplyWriter, StreamedReply


class ItemStreamCodec(StreamCodec[RequestT]):
    """One request whose items come from `source`, flags and message of each envelope.

    `inside` says that who needs no token is of the system.

    Where both sides stream, most clients of HTTP/1.1, and the proxies between, hand on no answer before they have the
    whole request: they would wait for ever for a callee that waits for its next item. So it is for the system's own
    client alone, which reads while it writes.
    """

    def __init__(
        self,
        inner: MessageCodec[RequestT],
        *,
        media: bytes,
        encoding: bytes,
        limit: int,
        own: bool,
        source: PieceSource[tuple[int, bytes]],
        inside: bool,
    ) -> None:
        super().__init__(inner, media=media, encoding=encoding, limit=limit, own=own)
        self._source = source
        self._inside = inside

    def read(self, request: RequestT, principal: Principal | None, user: Identity | None) -> Call:
        """The call; its items are read when they are asked for."""
        context = self._inner.context(request, principal, user)
        if self.operation.stream and not (self._own and (self._inside or principal is not None)):
            text = (
                f"{self.operation.label}: both sides stream, which HTTP/1.1 has no way for: call it by gRPC, or from a "
                "service of the system"
            )
            raise CallError(Code.UNIMPLEMENTED, text, may_have_happened=False)
        return Call(self.operation, EnvelopedItems(self, request), context)

    def reply(self, request: RequestT, reply: Any) -> StreamedReply:
        if self.operation.stream:
            return Envelopes(self, request, reply)
        return LastEnvelopes(self.media, self.message(request, reply) + self.end(None))

    def failure(self, _request: RequestT, error: Fault | CallError) -> StreamedReply:
        return LastEnvelopes(self.media, self.end(error))

    async def item(self, request: RequestT) -> Any:
        """The next item; raises StopAsyncIteration behind the last, CallError for one that can't be read."""
        try:
            found = await self._source.take()
        except ValueError:
            raise too_large(self._limit) from None
        except EOFError:
            raise self._unreadable("its last message is cut short") from None
        except ConnectionError:
            raise broken_off(self.operation.label) from None
        if found is None:
            raise StopAsyncIteration
        flags, message = found
        if flags & END and self._own:
            raise broken_off(self.operation.label)
        if flags & ~COMPRESSED:
            raise self._unreadable(f"flags {flags:#x} mean nothing in a request")
        if flags or len(message) > LIGHT:
            return await asyncio.get_running_loop().run_in_executor(READER, self._decoded, request, flags, message)
        return self._decoded(request, flags, message)

    def _decoded(self, request: RequestT, flags: int, message: bytes) -> Any:
        plain = unpacked(self._encoding if flags & COMPRESSED else b"identity", message, self._limit)
        return self._inner.item(request, plain)

    def _unreadable(self, why: str) -> CallError:
        text = f"{self.operation.label}: the stream of items can't be read: {why}"
        return CallError(Code.INVALID_ARGUMENT, text, may_have_happened=False)


class EnvelopedItems(IncomingItems):
    """The items of one request, as their callee asks for them."""

    def __init__(self, codec: ItemStreamCodec[Any], request: Any) -> None:
        super().__init__()
        self._codec = codec
        self._request = request

    async def read(self) -> Any:
        return await self._codec.item(self._request)


class LastEnvelopes:
    """All that there is of an answer: a reply and the end, or the end alone."""

    def __init__(self, media: bytes, body: bytes) -> None:
        self._media = media
        self._body = body

    async def send(self, writer: ReplyWriter) -> None:
        """Send it; head and body are one piece."""
        writer.start(200, self._media)
        await writer.write(self._body, more=False)
