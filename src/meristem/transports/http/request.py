"""A request of HTTP/1.1 whose framing is settled, and the port to what answers requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.asgi import Field
    from meristem.transports.http.responses import Response
    from meristem.transports.metadata import Metadata
    from meristem.transports.unary import Codec


class Request(msgspec.Struct, gc=False):
    """The head of a request: `path` and `query` are as they were sent, percent-encoded.

    `fields` are all header fields in their order, names in lower case; `head` has them by name, where a repeated one
    is joined to a list (RFC 9110, 5.3). `version` is `1.0` or `1.1`, `raw` the whole head as it came.
    """

    method: str
    path: bytes
    query: bytes
    version: str
    fields: list[Field]
    head: Metadata
    raw: bytes = b""


class ReplyWriter(Protocol):
    """Sends a response whose body is written bit by bit."""

    @property
    def bodiless(self) -> bool:
        """Whether nothing follows the head, as in an answer to HEAD."""
        ...

    def start(self, status: int, media: bytes, fields: Sequence[Field] = ()) -> None:
        """The head; it is sent at once."""
        ...

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A part of the body; the last one is without `more`. Waits while the client does not read."""
        ...


class StreamedReply(Protocol):
    """The replies of a stream, ready to be sent."""

    async def send(self, writer: ReplyWriter) -> None:
        """Send all of them; what is raised before the head is sent has a response of its own."""
        ...


class Resource(Protocol):
    """What answers a request that was found for it."""

    @property
    def takes_body(self) -> bool:
        """Whether the body of the request is looked at."""
        ...

    def received(self, request: Request, body: bytes) -> tuple[Codec[Any, Response | StreamedReply], Any]:
        """The codec that answers the request, and what it makes of it."""
        ...


class Interface(Protocol):
    """Resources by path."""

    def find(self, request: Request) -> Resource | Response | None:
        """What answers a request, the response where nothing can; None for a path that is not known here."""
        ...
