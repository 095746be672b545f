"""The head of a request: what can be read in two ways is refused, whoever reads it."""

from __future__ import annotations

import pytest

from meristem.resilience.limits import Limits
from meristem.transports.http.server.framer import Framer
from meristem.transports.http.server.head import UnsoundError, is_websocket, persists, read_head

LIMITS = Limits(head_bytes=1024, target_bytes=1024, head_fields=5)
LINE = b"GET /a?b=c HTTP/1.1"


def head(*lines: bytes, first: bytes = LINE) -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


def framed(data: bytes, size: int | None = None) -> tuple[str, bytes]:
    """What becomes of bytes that arrive in pieces of a size: method and body, or the refusal's status."""
    framer, taken, request, body = Framer(LIMITS), b"", None, None
    step = size or len(data)
    try:
        for start in range(0, len(data), step):
            framer.inbox.extend(data[start : start + step])
            if request is None and (request := framer.request()) is not None:
                body = framer.body(request)
            if body is not None:
                taken += body.take(framer.inbox)
    except UnsoundError as error:
        return str(error.status), b""
    return ("", b"") if request is None or body is None or not body.done else (request.method, taken)


HOST = b"Host: x"
UNSOUND = {
    "no host": (head(), 400),
    "two hosts": (head(HOST, HOST), 400),
    "two hosts in other letters": (head(HOST, b"hOST: y"), 400),
    "a host with a path": (head(b"Host: x/y"), 400),
    "a host with a user": (head(b"Host: a@x"), 400),
    "a list of hosts": (head(b"Host: x, y"), 400),
    "a port that is none": (head(b"Host: x:80a"), 400),
    "an unclosed address": (head(b"Host: [::1"), 400),
    "a later version": (head(HOST, first=b"GET / HTTP/1.2"), 505),
    "HTTP/2": (head(HOST, first=b"GET / HTTP/2.0"), 505),
    "HTTP/0.9": (head(HOST, first=b"GET /"), 400),
    "another protocol": (head(HOST, first=b"DESCRIBE / RTSP/1.0"), 400),
    "an unknown method": (head(HOST, first=b"FETCH / HTTP/1.1"), 501),
    "a proxy's method": (head(HOST, first=b"CONNECT x:1 HTTP/1.1"), 501),
    "a proxy's method with a path": (head(HOST, first=b"CONNECT /a HTTP/1.1"), 501),
    "a line that ends with a line feed": (head(b"A: b", HOST, first=b"GET /a HTTP/1.1\nB: c"), 400),
    "a line without a version, and a field with one": (head(HOST, first=b"GET /a\nA: b HTTP/1.1"), 400),
    "two spaces before the target": (head(HOST, first=b"GET  /a HTTP/1.1"), 400),
    "two spaces behind the target": (head(HOST, first=b"GET /a  HTTP/1.1"), 400),
    "a space behind the version": (head(HOST, first=b"GET /a HTTP/1.1 "), 400),
    "a fragment": (head(HOST, first=b"GET /a#b HTTP/1.1"), 400),
    "a fragment of an absolute target": (head(HOST, first=b"GET http://x/a#b HTTP/1.1"), 400),
    "a user in an absolute target": (head(HOST, first=b"GET http://a@x/b HTTP/1.1"), 400),
    "a target that is no path": (head(HOST, first=b"GET ftp://x/ HTTP/1.1"), 400),
    "a raw letter in the target": (head(HOST, first="GET /ü HTTP/1.1".encode()), 400),
    "a long target": (head(HOST, first=b"GET /" + b"a" * 1010 + b" HTTP/1.1"), 431),
    "two authorizations": (head(HOST, b"Authorization: Bearer a", b"authorization: Bearer a"), 400),
    "two keys": (head(HOST, b"Idempotency-Key: a", b"idempotency-key: b"), 400),
    "the same key twice": (head(HOST, b"Idempotency-Key: a", b"idempotency-key: a"), 400),
    "a key beside an empty one": (head(HOST, b"Idempotency-Key:", b"idempotency-key: a"), 400),
    "two tokens": (head(HOST, b"Meristem-Token: a", b"meristem-token: a"), 400),
    "two media types": (head(HOST, b"Content-Type: application/json;a=b", b"content-type: text/html"), 400),
    "two timeouts": (head(HOST, b"Connect-Timeout-Ms: 5", b"connect-timeout-ms: 6"), 400),
    "two versions": (head(HOST, b"Connect-Protocol-Version: 1", b"connect-protocol-version: 1"), 400),
    "two codings of messages": (head(HOST, *[b"Connect-Content-Encoding: identity"] * 2), 400),
    "white space before the colon": (head(HOST, b"A : b"), 400),
    "a folded line": (head(HOST, b"A: b", b" c"), 400),
    "a tab before the first field": (head(b"\tA: b", HOST), 400),
    "a bare line feed": (head(HOST, b"A: b\nC: d"), 400),
    "a bare carriage return": (head(HOST, b"A: b\rC: d"), 400),
    "a zero byte": (head(HOST, b"A: b\0c"), 400),
    "no name": (head(HOST, b": b"), 400),
    "no colon": (head(HOST, b"A"), 400),
    "six fields": (head(HOST, *[b"A: b"] * 5), 431),
    "a length with a sign": (head(HOST, b"Content-Length: +5"), 400),
    "a length in hexadecimal": (head(HOST, b"Content-Length: 0x5"), 400),
    "a negative length": (head(HOST, b"Content-Length: -1"), 400),
    "an empty length": (head(HOST, b"Content-Length:"), 400),
    "two lengths": (head(HOST, b"Content-Length: 5", b"Content-Length: 6"), 400),
    "the same length twice": (head(HOST, b"Content-Length: 5", b"Content-Length: 5"), 400),
    "a list of lengths": (head(HOST, b"Content-Length: 5, 5"), 400),
    "a length in words": (head(HOST, b"Content-Length: 5 5"), 400),
    "a length of 19 digits": (head(HOST, b"Content-Length: 1000000000000000000"), 400),
    "both framings": (head(HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "both framings the other way": (head(HOST, b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    "another coding": (head(HOST, b"Transfer-Encoding: gzip, chunked"), 501),
    "an unknown coding": (head(HOST, b"Transfer-Encoding: xchunked"), 400),
    "chunked twice": (head(HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "chunked in chunks": (head(HOST, b"Transfer-Encoding: chunked, chunked"), 400),
    "chunked not last": (head(HOST, b"Transfer-Encoding: chunked, gzip"), 400),
    "a coding with a vertical tab": (head(HOST, b"Transfer-Encoding: \x0bchunked"), 400),
    "chunks of HTTP/1.0": (head(HOST, b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"), 400),
    "a head without end": (LINE + b"\r\nHost: x\r\nA: " + b"b" * 1024, 431),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_head_is_refused_in_any_segmentation(name):
    data, status = UNSOUND[name]

    found = {framed(data, size)[0] for size in (None, 1, 2, 3, 7, 16)}

    assert all(each.startswith(("4", "5")) for each in found), found
    assert str(status) in found
    assert len(found) == 1


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02", b"GET / HTTP/1.1\n", b"\r\n\0", LINE + b"\r\nHost: x\n"])
def test_what_can_become_no_head_is_refused_before_its_end(data):
    assert {framed(data, size)[0] for size in (None, 1, 2)} == {"400"}


@pytest.mark.parametrize(
    "data",
    [
        head(HOST),
        head(b"Host:"),
        head(b"Host: shop_1.example:8000"),
        head(b"Host: [::1]:8000"),
        head(first=b"GET / HTTP/1.0"),
        head(HOST, b"Content-Length:   0  "),
        b"\r\n\r\n" + head(HOST),
        head(HOST, first=b"OPTIONS * HTTP/1.1"),
    ],
)
def test_a_sound_head_is_read_in_any_segmentation(data):
    methods = {framed(data, size)[0] for size in range(1, len(data) + 1)}

    assert methods <= {"GET", "OPTIONS"}
    assert len(methods) == 1


def test_a_target_above_its_limit_is_414():
    with pytest.raises(UnsoundError) as raised:
        read_head(head(HOST, first=b"GET /" + b"a" * 1024 + b" HTTP/1.1"), LIMITS)

    assert raised.value.status == 414


def test_a_head_may_have_its_limit_and_not_a_byte_more():
    fits = head(HOST, b"A: " + b"b" * (1024 - len(head(HOST, b"A: "))))

    assert {framed(fits, size)[0] for size in (None, 1, 7)} == {"GET"}
    assert {framed(fits.replace(b"A: ", b"A: b"), size)[0] for size in (None, 1, 7)} == {"431"}


def test_fields_are_in_lower_case_and_in_order_and_repeated_ones_are_one_list():
    request = read_head(head(HOST, b"B: \t two \t", b"A: 1", b"a: 3"), LIMITS)

    assert request.fields == [(b"host", b"x"), (b"b", b"two"), (b"a", b"1"), (b"a", b"3")]
    assert request.head == {b"host": b"x", b"b": b"two", b"a": b"1, 3"}
    assert (request.path, request.query, request.version) == (b"/a", b"b=c", "1.1")


def test_of_an_absolute_target_the_path_is_taken_and_its_host_counts():
    request = read_head(head(HOST, first=b"GET HTTP://y:80?b HTTP/1.1"), LIMITS)

    assert (request.path, request.query, request.head[b"host"]) == (b"/", b"b", b"y:80")
    assert request.fields == [(b"host", b"y:80")]


@pytest.mark.parametrize(
    ("lines", "first", "expected"),
    [
        ([], LINE, True),
        ([b"Connection: keep-alive"], LINE, True),
        ([b"Connection: Upgrade, CLOSE"], LINE, False),
        ([b"Connection: a", b"Connection: close"], LINE, False),
        ([b"Connection: keep-alive"], b"GET / HTTP/1.0", False),
    ],
)
def test_a_connection_goes_on_unless_the_client_says_close_or_speaks_http_1_0(lines, first, expected):
    assert persists(read_head(head(HOST, *lines, first=first), LIMITS)) is expected


HANDSHAKE = {
    b"Connection": b"keep-alive, Upgrade",
    b"Upgrade": b"WebSocket",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version": b"13",
}


@pytest.mark.parametrize(
    ("change", "first", "expected"),
    [
        ({}, b"GET / HTTP/1.1", True),
        ({b"Upgrade": b"h2c"}, b"GET / HTTP/1.1", False),
        ({b"Upgrade": b"websocket, h2c"}, b"GET / HTTP/1.1", False),
        ({b"Connection": b"close"}, b"GET / HTTP/1.1", False),
        ({b"Sec-WebSocket-Key": b"short"}, b"GET / HTTP/1.1", False),
        ({b"Sec-WebSocket-Version": b"8"}, b"GET / HTTP/1.1", False),
        ({b"Content-Length": b"5"}, b"GET / HTTP/1.1", False),
        ({b"Transfer-Encoding": b"chunked"}, b"GET / HTTP/1.1", False),
        ({}, b"POST / HTTP/1.1", False),
        ({}, b"GET / HTTP/1.0", False),
    ],
)
def test_only_the_sound_handshake_of_a_websocket_without_a_body_is_an_upgrade(change, first, expected):
    lines = [b"%b: %b" % each for each in (HANDSHAKE | change).items()]

    assert is_websocket(read_head(head(HOST, *lines, first=first), Limits())) is expected
