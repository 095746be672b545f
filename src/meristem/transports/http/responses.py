"""A whole response of HTTP, written by the codecs and sent as bytes of HTTP/1.1 or as messages of ASGI."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.contracts.codec import encode
from meristem.transports.http.date import date_line

if TYPE_CHECKING:
    from meristem.asgi import Field

JSON: Final = b"application/json"
OCTETS: Final = b"application/octet-stream"
PROBLEM: Final = b"application/problem+json"
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
OK_JSON: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
BODILESS: Final = (204, 304)
CLOSE: Final = b"connection: close\r\n"
COALESCED: Final = 64 * 1024  # a larger body is written by itself rather than copied behind its head


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"


class Response(msgspec.Struct, gc=False):
    """Status, media type and body; `fields` are the header fields beyond type and length."""

    status: int
    media: bytes
    body: bytes
    fields: Sequence[Field] = ()

    def head(self, *, close: bool) -> bytes:
        """The head in HTTP/1.1; after one that says `close` the connection ends.

        A plain 200 with JSON always has the same bytes, by which Meristem's client reads it without a parser:
        `HTTP/1.1 200 OK`, `content-type: application/json`, `content-length: 17`, `date: …`.
        """
        opening = self._opening()
        # RFC 9110, section 8.6: a 204 must not have a content-length, a 304 that of another answer only.
        length = b"%d" % len(self.body) if self.status not in BODILESS else b""
        return b"%b%b\r\n%b%b\r\n" % (opening, length, date_line(), CLOSE if close else b"")

    def http1(self, *, close: bool) -> bytes:
        """Head and body in HTTP/1.1."""
        if self.status in BODILESS:
            return self.head(close=close)
        end = CLOSE if close else b""  # as `head`, without a copy
        return b"%b%d\r\n%b%b\r\n%b" % (self._opening(), len(self.body), date_line(), end, self.body)

    def _opening(self) -> bytes:
        # By identity, which is quicker; an equal text that is another object goes the longer way to the same bytes.
        if self.status == 200 and self.media is JSON and not self.fields:
            return OK_JSON
        if type(self.fields) is tuple:  # an operation's own, the same for every answer
            return known_opening(self.status, self.media, self.fields)
        return opening(self.status, self.media, self.fields)


def opening(status: int, media: bytes, fields: Sequence[Field]) -> bytes:
    """The head of a response up to the number of its `content-length`, which ends it; a 204 and a 304 have none."""
    lines = [b"HTTP/1.1 %d %b" % (status, phrase(status).encode())]
    if media:
        lines.append(b"content-type: " + media)
    lines += [b"%b: %b" % field for field in fields]
    if status not in BODILESS:
        lines.append(b"content-length: ")
    return b"\r\n".join(lines)


known_opening: Final = lru_cache(256)(opening)


def not_served() -> bytes:
    """Said before an idle connection is closed: whatever is under way on it is not served (RFC 9110, 15.5.9)."""
    return b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n%bconnection: close\r\n\r\n" % date_line()


def refused(status: int, detail: str) -> Response:
    """The refusal of a request that is no sound HTTP (RFC 9457); the connection ends with it."""
    problem = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}
    return Response(status, PROBLEM, encode(problem))
