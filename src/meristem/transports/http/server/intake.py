"""The body of a request that Meristem serves itself, collected until it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.transports.http.errors import too_large
from meristem.transports.http.responses import Response
from meristem.transports.http.server.body import Body, SizedBody

if TYPE_CHECKING:
    from meristem.transports.http.request import Request, Resource

MOST_DROPPED: Final = 64 * 1024  # of a body that nobody reads any more; of a longer one the connection ends


class Intake:
    """Takes in up to `limit` bytes for `found`; what nobody wants is taken in too, and dropped.

    Without `found` it is the rest of a body whose request was answered early.
    """

    __slots__ = ("_body", "_limit", "_parts", "_wanted", "found", "request", "size")

    def __init__(self, request: Request, body: Body, found: Resource | Response | None, limit: int) -> None:
        self.request = request
        self.found = found
        self.size = 0
        self._body = body
        self._limit = limit
        self._parts: list[bytes] = []
        self._wanted = found is not None and not isinstance(found, Response) and found.takes_body
        if isinstance(body, SizedBody) and body.missing > limit:
            self.size = body.missing  # known to be too large before it comes

    @property
    def too_large(self) -> bool:
        """Whether there is more of it than is taken."""
        return self.size > self._limit

    @property
    def data(self) -> bytes:
        """What was collected."""
        return b"".join(self._parts)

    def take(self, inbox: bytearray) -> bool:
        """Take what has arrived; whether that was the last of it. Raises UnsoundError."""
        part = self._body.take(inbox)
        if part:
            self.size += len(part)
            if self._wanted and not self.too_large:
                self._parts.append(part)
        return self._body.done

    def refusal(self) -> Response | None:
        """The answer to a body that is too large; None where the request has been answered."""
        found, error = self.found, too_large(self._limit)
        if found is None:
            return None
        if isinstance(found, Response):
            return found
        codec, received = found.received(self.request, b"")
        refused: Response = codec.failure(received, error)  # type: ignore[assignment]
        return refused
