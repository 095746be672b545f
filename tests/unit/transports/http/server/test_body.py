"""The body of a request, whose end does not depend on how its bytes arrive."""

from __future__ import annotations

import pytest

from meristem.resilience.limits import Limits
from meristem.transports.http.server.body import CHUNKS, ChunkedBody, SizedBody
from meristem.transports.http.server.head import UnsoundError

LIMITS = Limits(head_bytes=1024, head_fields=5)
NEXT = b"GET /next HTTP/1.1\r\n\r\n"


def taken(data: bytes, size: int) -> tuple[bytes, bytes]:
    """The body that chunks hold, arriving in pieces of a size, and what is left for the next request."""
    inbox, body, found = bytearray(), ChunkedBody(LIMITS), b""
    for start in range(0, len(data), size):
        inbox += data[start : start + size]
        found += body.take(inbox)
        while body.behind:
            found += body.take(inbox)
    assert body.done
    return found, bytes(inbox)


@pytest.mark.parametrize(
    "chunks",
    [
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b'2;a=b\r\nhe\r\n003 ; c="d e"\r\nllo\r\n0\r\n\r\n',
        b"5\r\nhello\r\n0\r\nHost: evil\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"A\r\nhe\r\n0\r\n\r\nl\r\n0\r\n\r\n",
    ],
)
def test_a_chunked_body_ends_at_the_same_byte_in_any_segmentation(chunks):
    expected = taken(chunks + NEXT, len(chunks + NEXT))

    assert expected[1] == NEXT
    for size in range(1, len(chunks) + 1):
        assert taken(chunks + NEXT, size) == expected


@pytest.mark.parametrize(
    "chunks",
    [
        b"+5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"1000000000000000\r\n",
        b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        b"5;\x00\r\nhello\r\n0\r\n\r\n",
        b"5" + b"0" * 300,
        b"0\r\nA b\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\n A: b\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 6,
        b"0\r\nA: " + b"b" * 1100,
        b"0\r\n" + (b"A: " + b"b" * 500 + b"\r\n") * 3,
    ],
)
@pytest.mark.parametrize("size", [1, 3, 5000])
def test_chunks_that_can_be_read_in_two_ways_or_have_no_end_are_refused(chunks, size):
    with pytest.raises(UnsoundError):
        taken(chunks, size)


def test_a_body_of_a_length_takes_no_byte_more():
    body, inbox = SizedBody(5), bytearray(b"he")

    assert (body.take(inbox), body.done, inbox) == (b"he", False, b"")
    inbox += b"llo" + NEXT
    assert (body.take(inbox), body.done, bytes(inbox)) == (b"llo", True, NEXT)


def test_what_is_kept_of_a_body_is_bounded_by_one_line():
    body, inbox = ChunkedBody(LIMITS), bytearray()
    for _ in range(1000):
        inbox += b"400\r\n" + b"x" * 1024 + b"\r\n4"
        assert len(body.take(inbox)) == 1024
        assert inbox == b"4"
        inbox.clear()


@pytest.mark.parametrize(("size", "most"), [(1, 1032), (31, 32_000)])
def test_a_body_of_tiny_chunks_ends_where_their_number_does(size, most):
    body, chunk = ChunkedBody(Limits(body_chunks=1000)), b"%x\r\n" % size + b"x" * size + b"\r\n"

    for _ in range(most):
        body.take(bytearray(chunk))

    with pytest.raises(UnsoundError, match="a body has 1000 chunks") as caught:
        body.take(bytearray(chunk))
    assert caught.value.status == 400


def test_chunks_of_a_sane_size_may_be_any_number():
    body = ChunkedBody(Limits(body_chunks=1))

    for _ in range(100):
        body.take(bytearray(b"20\r\n" + b"x" * 32 + b"\r\n") * 1000)

    assert body.take(bytearray(b"0\r\n\r\n")) == b""
    assert body.done


def test_of_many_chunks_a_turn_takes_some_and_tells_that_more_are_there():
    inbox, body, parts = bytearray(b"1\r\na\r\n" * (2 * CHUNKS + 1) + b"0\r\n\r\n" + NEXT), ChunkedBody(LIMITS), []

    while not parts or body.behind:
        parts.append(body.take(inbox))

    assert parts == [b"a" * CHUNKS, b"a" * CHUNKS, b"a"]
    assert (body.done, bytes(inbox)) == (True, NEXT)


def test_a_body_whose_chunks_have_all_been_taken_has_no_more_there():
    inbox, body = bytearray(b"1\r\na\r\n" * CHUNKS + b"2\r\nb"), ChunkedBody(LIMITS)

    assert body.take(inbox) == b"a" * CHUNKS
    assert body.behind
    assert body.take(inbox) == b"b"
    assert not body.behind
