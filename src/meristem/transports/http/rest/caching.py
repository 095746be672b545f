"""Answers that may be kept: what is said of that, and 304 for who has the same already (RFC 9110, 13; RFC 9111)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.transports.http.entity_tags import etag_of, is_among
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.contracts.operation import Cache
    from meristem.transports.metadata import Metadata

IF_NONE_MATCH: Final = b"if-none-match"


class AnswerCaching:
    """What an operation declares of keeping its answers, at work.

    An answer that is for somebody who has signed in is kept apart from those for others.
    """

    def __init__(self, cache: Cache, *, authenticated: bool) -> None:
        self._tags = cache.etag
        age = f"max-age={cache.max_age:.0f}" if cache.max_age else "no-cache"
        self._said: list[Field] = [(b"cache-control", f"{'public' if cache.public else 'private'}, {age}".encode())]
        if authenticated:
            self._said.append((b"vary", b"authorization"))

    def conditional(self, head: Metadata, response: Response) -> Response:
        """The answer with what is said of it; without its body for a client that has that."""
        if not self._tags:
            response.fields = [*response.fields, *self._said]
            return response
        etag = etag_of(response.body)
        said = [*self._said, (b"etag", etag)]
        if (known := head.get(IF_NONE_MATCH)) is not None and is_among(etag, known):
            return Response(304, b"", b"", said)
        response.fields = [*response.fields, *said]
        return response
