"""The body of a request that Meristem serves itself, collected until it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from meristem.transports.http.errors import too_large
from meristem.transports.http.responses import Response, refused
from meristem.transports.http.server.body import IncomingBody, SizedBody
from meristem.transports.http.server.head import CONTINUE, UnsoundError

if TYPE_CHECKING:
    import asyncio

    from meristem.transports.http.request import Request, Resource, StreamedReply
    from meristem.transports.unary import Codec, RequestT

MOST_DROPPED: Final = 64 * 1024  # of a body that nobody reads any more; of a longer one the connection ends


class IntakeOwner(Protocol):
    """The connection on which the body arrives."""

    intake: Intake | None
    unread: bool

    @property
    def inbox(self) -> bytearray: ...

    @property
    def transport(self) -> asyncio.Transport: ...

    def serve(self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT) -> None:
        """Answer a request that has arrived whole."""
        ...

    def finish(self, response: Response, *, close: bool = False) -> None:
        """Write the response and be ready for the next request."""
        ...

    def rest(self) -> None:
        """Be ready for the next request."""
        ...

    def linger(self) -> None:
        """Say no more, but read on until the peer has seen the last answer."""
        ...

    def give_way(self) -> None:
        """Let others run before more is taken in."""
        ...


class Intake:
    """Takes in up to `limit` bytes for `found`; what nobody wants is taken in too, and dropped.

    Without `found` it is the rest of a body whose request was answered early.
    """

    __slots__ = ("_body", "_connection", "_data", "_limit", "_wanted", "found", "request", "size")

    def __init__(
        self,
        connection: IntakeOwner,
        request: Request,
        body: IncomingBody,
        found: Resource | Response | None,
        limit: int,
    ) -> None:
        self._connection = connection
        self.request = request
        self.found = found
        self.size = 0
        self._body = body
        self._limit = limit
        self._data = bytearray()  # not a list: of a body that comes byte by byte that would take fifty times as much
        self._wanted = found is not None and not isinstance(found, Response) and found.takes_body
        if isinstance(body, SizedBody) and body.missing > limit:
            self.size = body.missing  # known to be too large before it comes

    @property
    def too_large(self) -> bool:
        """Whether there is more of it than is taken."""
        return self.size > self._limit

    def collect(self) -> None:
        """Take in more, and have the request answered once it is whole."""
        connection, found = self._connection, self.found
        try:
            whole = self.take(connection.inbox)
        except UnsoundError as error:
            self._cut_off(refused(error.status, error.detail))
            return
        if self.too_large:  # nobody reads the rest, so no further request can be told from it
            self._cut_off(self._refusal())
        elif whole:
            connection.intake = None
            if found is None:
                connection.rest()
            elif isinstance(found, Response):
                connection.finish(found)
            else:
                connection.serve(*found.received(self.request, bytes(self._data)))
        elif self._body.behind:
            connection.give_way()

    def invite(self) -> None:
        """Answer a client that asks before it sends (RFC 9110, 10.1.1), if it has not begun."""
        if self._connection.intake is not self or self.size:
            return
        if isinstance(self.found, Response):  # what it would send is not wanted
            self._cut_off(self.found)
        else:
            self._connection.transport.write(CONTINUE)

    def _cut_off(self, response: Response | None) -> None:
        """End a request in the middle of its body, with a response if it was not answered."""
        self._connection.intake = None
        self._connection.unread = True
        if response is None or self.found is None:
            self._connection.linger()
        else:
            self._connection.finish(response, close=True)

    def take(self, inbox: bytearray) -> bool:
        """Take what has arrived; whether that was the last of it. Raises UnsoundError."""
        part = self._body.take(inbox)
        if part:
            self.size += len(part)
            if self._wanted and not self.too_large:
                self._data += part
        return self._body.done

    def _refusal(self) -> Response | None:
        """The answer to a body that is too large; None where the request has been answered."""
        found, error = self.found, too_large(self._limit)
        if found is None:
            return None
        if isinstance(found, Response):
            return found
        codec, received = found.received(self.request, b"")
        refused: Response = codec.failure(received, error)  # type: ignore[assignment]
        return refused
