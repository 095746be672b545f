"""The answer of an upstream: its head read anew, and its body cut out by rules of our own (RFC 9112, section 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httptools
import msgspec

from meristem.resilience.limits import Limits
from meristem.transports.http.server.body import ChunkedBody, SizedBody
from meristem.transports.http.server.head import LENGTH

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.transports.http.server.body import IncomingBody

MOST_OF_HEAD: Final = 64 * 1024  # bytes
BODILESS: Final = (204, 304)
VERSIONS: Final = ("1.0", "1.1")
OF_THE_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
"""Fields that are between two neighbours (RFC 9110, 7.6.1): neither requests nor answers carry them further."""


class UnsoundAnswerError(Exception):
    """What came is no answer, or one that could be read in two ways."""


class UpstreamAnswer(msgspec.Struct, gc=False):
    """The head of an answer: `fields` are those that go on, `body` cuts out what follows, `stays` the connection."""

    status: int
    fields: list[Field]
    body: IncomingBody
    stays: bool
    head: dict[bytes, bytes]


class UntilEnd:
    """A body that ends with its connection."""

    __slots__ = ("done",)
    behind: Final = False

    def __init__(self) -> None:
        self.done = False

    def take(self, inbox: bytearray) -> bytes:
        """All that there is."""
        part = bytes(inbox)
        inbox.clear()
        return part


class _Reading:
    """What the parser finds in one head."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[Field] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def read_answer(data: bytes, method: str) -> UpstreamAnswer:
    """The answer to a request of `method` whose head `data` is, up to the empty line; raises UnsoundAnswerError.

    A parser of its own for each head, which sees nothing of the body: where that ends is decided here alone.
    """
    reading = _Reading()
    parser: Any = httptools.HttpResponseParser(reading)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # what is upgraded was asked for elsewhere
    except httptools.HttpParserError as error:
        raise UnsoundAnswerError(f"this is no sound HTTP/1.1: {error}") from None
    status, version, fields = parser.get_status_code(), parser.get_http_version(), reading.fields
    if not 100 <= status <= 599 or version not in VERSIONS:  # beyond that they mean nothing (RFC 9110, section 15)
        raise UnsoundAnswerError(f"HTTP/{version} and the status {status} are none that a client could be told")
    head = dict(fields)
    dropped = OF_THE_HOP
    if (connection := head.get(b"connection")) is not None:
        dropped = dropped | named(fields)
    return UpstreamAnswer(
        status,
        [each for each in fields if each[0] not in dropped],
        _body(method, status, version, fields, head),
        version == "1.1" and (connection is None or b"close" not in named(fields)),
        head,
    )


def named(fields: list[Field]) -> set[bytes]:
    """What stands in the `connection` fields."""
    return {each.strip().lower() for name, value in fields if name == b"connection" for each in value.split(b",")}


def _body(method: str, status: int, version: str, fields: list[Field], head: dict[bytes, bytes]) -> IncomingBody:
    length, coding = head.get(b"content-length"), head.get(b"transfer-encoding")
    for name in (b"content-length", b"transfer-encoding"):
        if name in head and sum(each[0] == name for each in fields) > 1:
            raise UnsoundAnswerError(f"{name.decode()} is given more than once")
    if length is not None and LENGTH.fullmatch(length) is None:
        raise UnsoundAnswerError("content-length must be one number of up to 18 digits")
    if method == "HEAD" or status < 200 or status in BODILESS:
        return SizedBody(0)
    if coding is not None:
        if length is not None or version != "1.1" or coding.lower() != b"chunked":
            raise UnsoundAnswerError(
                "of transfer codings only chunked, alone and without content-length, is understood"
            )
        chunked = ChunkedBody(LIMITS)
        chunked.lift()
        return chunked
    return UntilEnd() if length is None else SizedBody(int(length))


LIMITS: Final = Limits(head_bytes=MOST_OF_HEAD)
