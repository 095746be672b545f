"""A connection remembers the fields of its last request; what it reads by that is what the parser would read."""

from itertools import product

import pytest

from meristem.resilience.limits import Limits
from meristem.transports.http.server.head import FieldsMemory, UnsoundError, read_head

LIMITS = Limits(target_bytes=100)
LINES = [
    b"GET /a?b=c HTTP/1.1",
    b"POST /other HTTP/1.1",
    b"GET http://elsewhere/a HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"GET /a#b HTTP/1.1",
    b"GET  /a HTTP/1.1",
    b"BREW /a HTTP/1.1",
    b"GET /" + b"x" * 200 + b" HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
]
FIELDS = [
    b"host: here\r\nX-Twice: 1\r\nx-twice: 2",
    b"host: here\r\nX-Twice: 1\r\nx-twice: 3",
    b"host: here\r\nconnection: upgrade\r\nupgrade: websocket",
    b"host: here\r\ncontent-length: 3\r\ncontent-length: 3",
    b"accept: */*",
]
HEADS = [b"%b\r\n%b\r\n\r\n" % each for each in product(LINES, FIELDS)]


def outcome(read):
    try:
        return read()
    except UnsoundError as error:
        return error.status


@pytest.mark.parametrize("first", HEADS)
def test_whatever_came_before_a_head_is_read_as_the_parser_reads_it(first):
    for second in HEADS:
        memory = FieldsMemory()
        outcome(lambda: memory.read(first, LIMITS))  # noqa: B023 - called at once
        for head in (second, second):
            assert outcome(lambda: memory.read(head, LIMITS)) == outcome(lambda: read_head(head, LIMITS))  # noqa: B023


def test_a_second_head_with_the_same_fields_is_not_parsed(monkeypatch):
    memory, head = FieldsMemory(), HEADS[0]
    first = memory.read(head, LIMITS)
    monkeypatch.setattr("meristem.transports.http.server.head.read_head", None)
    assert memory.read(head, LIMITS) == first


def test_what_an_app_does_to_the_fields_of_a_request_is_not_remembered():
    memory, head = FieldsMemory(), HEADS[0]
    memory.read(head, LIMITS).fields.append((b"x-user", b"root"))
    memory.read(head, LIMITS).fields.append((b"x-user", b"root"))
    assert memory.read(head, LIMITS) == read_head(head, LIMITS)


def test_fields_that_are_long_are_not_kept():
    memory = FieldsMemory()
    memory.read(b"GET / HTTP/1.1\r\nhost: here\r\ncookie: %b\r\n\r\n" % (b"x" * 3000), LIMITS)
    assert memory._block == b""
