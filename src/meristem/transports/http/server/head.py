"""The head of a request: what of it is sound, and what a peer could read in two ways is refused.

Who stands in front (a proxy, a cache) must never read a request otherwise than this server: where one of them sees one
request and the other sees two, what a stranger sends runs in the name of another (RFC 9112, 11.2). So whatever the
standard leaves to leniency is refused here, and the bytes between requests are this server's alone to cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httptools

from meristem.head_fields import add_field
from meristem.transports.http.connect.codec import TIMEOUT, VERSION
from meristem.transports.http.request import Request
from meristem.transports.metadata import SINGLE

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.resilience.limits import Limits
    from meristem.transports.metadata import Metadata

# Without the comma of RFC 3986: two lines that somebody in front has joined are two hosts, and no host has one.
HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?")
ABSOLUTE: Final = re.compile(rb"https?://([^/?@]+)([/?].*)?", re.IGNORECASE)
REQUEST_LINE: Final = re.compile(rb"[!-~]+ [!\"$-~]+ HTTP/([0-9]\.[0-9])\r\n")  # with no fragment: `#` is none of it
USUAL_LINE: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (/[!\"$-~]*) HTTP/1\.1\r\n")
MOST_REMEMBERED: Final = 2048  # bytes for each connection
LENGTH: Final = re.compile(rb"[0-9]{1,18}")
WEBSOCKET_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
FRAMING: Final = (b"host", b"content-length", b"transfer-encoding")
OF_CALLS: Final = (*SINGLE, TIMEOUT, VERSION, b"content-type", b"connect-content-encoding")
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"  # to a client that asks before it sends a body
ONCE: Final = frozenset((*FRAMING, *OF_CALLS))
"""Fields of one value, whose second line somebody else may believe.

Not `traceparent`: with two of them a trace begins anew, as W3C Trace Context asks for.
"""


class UnsoundError(Exception):
    """A request that is answered with `status`, after which the connection ends."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class _Reading:
    """What the parser finds in one head."""

    __slots__ = ("fields", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[Field] = []

    def on_url(self, url: bytes) -> None:
        self.target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser leaves blanks at the end, which are none of the value (RFC 9112, section 5).
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def read_head(data: bytes, limits: Limits) -> Request:
    """The request whose head `data` is, up to the empty line; raises UnsoundError.

    A parser of its own for each head: nothing of its state is left when the next one comes.
    """
    # Before the parser sees it: each line costs. Two of them are the request line and the empty one.
    if data.count(b"\n") - 2 > limits.head_fields:
        raise UnsoundError(431, f"a request may have {limits.head_fields} header fields")
    version = _version(data)
    reading = _Reading()
    parser = httptools.HttpRequestParser(reading)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # the parser has read the head; whether anything is upgraded is decided elsewhere
    except httptools.HttpParserInvalidMethodError:
        raise UnsoundError(501, "this method is not known") from None
    except httptools.HttpParserError as error:
        raise UnsoundError(400, f"this is no sound HTTP/1.1 request: {error}") from None
    method: str = parser.get_method().decode()
    if method == "CONNECT":  # whatever its target: who stands in front would take an answer for an open tunnel
        raise UnsoundError(501, "this server is no proxy")
    fields = reading.fields
    head = dict(fields)
    if len(head) != len(fields):
        head = _joined(fields)
    target = reading.target
    if len(target) > limits.target_bytes:
        raise UnsoundError(414, f"the target of a request may have {limits.target_bytes} bytes")
    if target[:1] != b"/":
        target = _origin(method, target, fields, head)
    _check_host(version, head)
    path, _, query = target.partition(b"?")
    return Request(method, path, query, version, fields, head, data)


class FieldsMemory:
    """Knows the fields of a connection's last request: most clients send the same ones with every request.

    Why this is safe: a parser reads each line of a head by itself, so lines that are byte for byte the same mean the
    same below any request line of the form `USUAL_LINE`, in which no two parsers see two things.
    """

    __slots__ = ("_block", "_fields", "_head")

    def __init__(self) -> None:
        self._block = b""
        self._fields: list[Field] = []
        self._head: Metadata = {}

    def read(self, data: bytes, limits: Limits) -> Request:
        """As `read_head`."""
        line = USUAL_LINE.match(data)
        if line is None:
            return read_head(data, limits)
        start, block = line.end(), self._block
        if len(data) - start != len(block) or not data.endswith(block) or len(line[2]) > limits.target_bytes:
            request = read_head(data, limits)
            self._remember(data[start:], request)
            return request
        path, _, query = line[2].partition(b"?")
        # a copy of the fields, as apps are given them and may change them
        return Request(line[1].decode(), path, query, "1.1", self._fields.copy(), self._head, data)

    def _remember(self, block: bytes, request: Request) -> None:
        if len(block) <= MOST_REMEMBERED and b"upgrade" not in request.head:
            self._block, self._fields, self._head = block, request.fields.copy(), request.head


def body_length(request: Request) -> int | None:
    """How many bytes the body has, None for one in chunks; raises UnsoundError (RFC 9112, 6.3)."""
    head = request.head
    length, coding = head.get(b"content-length"), head.get(b"transfer-encoding")
    if coding is None:
        if length is None:
            return 0
        if LENGTH.fullmatch(length) is None:
            raise UnsoundError(400, "content-length must be one number of up to 18 digits")
        return int(length)
    if length is not None:
        raise UnsoundError(400, "a request has content-length or transfer-encoding, not both")
    if request.version != "1.1":
        raise UnsoundError(400, "HTTP/1.0 knows no transfer-encoding")
    if coding.lower() != b"chunked":
        raise UnsoundError(501, "of transfer codings only chunked, alone, is understood")
    return None


def persists(request: Request) -> bool:
    """Whether the client means to send more on the connection (RFC 9112, 9.3); one of HTTP/1.0 is let go."""
    connection = request.head.get(b"connection")
    if request.version != "1.1":
        return False
    return connection is None or b"close" not in _tokens(connection)


def expects_continue(request: Request) -> bool:
    """Whether the client asks before it sends the body (RFC 9110, 10.1.1); one of HTTP/1.0 must not be answered."""
    return request.head.get(b"expect", b"").lower() == b"100-continue" and request.version == "1.1"


def is_websocket(request: Request) -> bool:
    """Whether a request is the sound handshake of a WebSocket (RFC 6455, 4.1); any other upgrade is ignored."""
    head = request.head
    if (upgrade := head.get(b"upgrade")) is None:
        return False
    return (
        upgrade.lower() == b"websocket"
        and request.method == "GET"
        and request.version == "1.1"
        and b"upgrade" in _tokens(head.get(b"connection", b""))
        and WEBSOCKET_KEY.fullmatch(head.get(b"sec-websocket-key", b"")) is not None
        and head.get(b"sec-websocket-version") == b"13"
        and head.get(b"content-length", b"0") == b"0"
        and b"transfer-encoding" not in head
    )


def _version(data: bytes) -> str:
    # The whole line, before the parser sees it: that takes a lone line feed for the end of one without a version,
    # and several spaces for one.
    line = REQUEST_LINE.match(data)
    if line is None:
        raise UnsoundError(400, "a request begins with a line such as `GET /path HTTP/1.1`, with single spaces")
    version = line[1].decode()
    if version not in ("1.1", "1.0"):
        raise UnsoundError(505, "this port speaks HTTP/1.1 and HTTP/1.0")
    return version


def _joined(fields: list[Field]) -> dict[bytes, bytes]:
    """The fields by name, repeated ones as one list."""
    head: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in ONCE and name in head:
            raise UnsoundError(400, f"{name.decode()} is given more than once")
        add_field(head, name, value)
    return head


def _origin(method: str, target: bytes, fields: list[Field], head: dict[bytes, bytes]) -> bytes:
    """The path of a target in another form (RFC 9112, 3.2); the host that an absolute one names counts."""
    if method == "OPTIONS" and target == b"*":
        return target
    if (found := ABSOLUTE.fullmatch(target)) is None or b"host" not in head:
        raise UnsoundError(400, "the target of the request is no path")
    host = found[1]
    head[b"host"] = host
    fields[:] = [(name, host if name == b"host" else value) for name, value in fields]
    rest = found[2] or b""
    return rest if rest[:1] == b"/" else b"/" + rest


def _check_host(version: str, head: Metadata) -> None:
    host = head.get(b"host")
    if host is None:
        if version == "1.1":
            raise UnsoundError(400, "a request of HTTP/1.1 names its host")
    elif HOST.fullmatch(host) is None:
        raise UnsoundError(400, "the host of the request is no host")


def _tokens(value: bytes) -> list[bytes]:
    return [each.strip().lower() for each in value.split(b",")]
