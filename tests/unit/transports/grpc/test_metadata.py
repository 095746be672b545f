"""Metadata that no call may have: it is refused before anybody is believed, and as over HTTP."""

import asyncio

import grpc
import pytest

from meristem.resilience.limits import Limits

ACROSS = 16_000  # bytes of a frame


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("authorization", ("Bearer user-ada", "Bearer user-eve")),
        ("meristem-token", ("web", "search")),
        ("idempotency-key", ("k-1", "k-2")),
    ],
)
async def test_a_field_of_one_value_that_is_given_twice_is_refused(shop, name, values):
    channel = shop.stock(await shop.server(secured=True, public=True))
    stays, request = shop.method(channel, "stays"), shop.request("stays", hotel_id=1)

    await stays(request, metadata=[(name, values[0])])
    shop.handlers.contexts.clear()
    error = await shop.failed(stays(request, metadata=[(name, each) for each in values]))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(f"{name} is given more than once")
    assert shop.handlers.contexts == []


async def test_a_stream_with_such_metadata_does_not_begin(shop):
    channel = shop.stock(await shop.server(secured=True, public=True))
    count = shop.method(channel, "count")(
        shop.request("count", until=3), metadata=[("authorization", "Bearer user-ada")] * 2
    )

    error = await shop.failed(count.read())

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not shop.handlers.started.is_set()


async def test_metadata_has_as_many_fields_as_the_head_of_a_request(shop):
    channel = shop.stock(await shop.server(limits=Limits(head_fields=20)))
    stays, request = shop.method(channel, "stays"), shop.request("stays", hotel_id=1)

    await stays(request, metadata=[(f"x-{at}", "") for at in range(15)])
    error = await shop.failed(stays(request, metadata=[(f"x-{at}", "") for at in range(25)]))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("a call may have 20 fields of metadata")


async def test_what_is_no_ascii_is_nobodys_token(shop):
    server = await shop.server(secured=True, public=True)

    told = await _answer(server, "/shop.rooms.v1.Rooms/Describe", ("meristem-token", "wéb€".encode()))

    assert b"grpc-status\x017" in told
    assert b"the meristem-token is not valid here" in told
    assert b"codec" not in told


async def test_a_token_in_many_frames_is_no_longer_than_a_head_may_be(shop):
    """What grpcio bounds is one frame."""
    server = await shop.server(secured=True, public=True)

    told = await _answer(server, "/shop.rooms.v1.Rooms/Describe", ("meristem-token", b"w" * 100_000))

    assert b"meristem-token has more than 65536 bytes" in told


async def _answer(server, path, field):
    """What is sent back for an empty message with one more field of metadata, byte by byte (RFC 9113, RFC 7541)."""
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    plain = [*fields.items(), ("content-type", "application/grpc")]
    block = b"".join(_literal(*each) for each in (*((name, value.encode()) for name, value in plain), field))
    pieces = [block[at : at + ACROSS] for at in range(0, len(block), ACROSS)]
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b""))
    for at, piece in enumerate(pieces):
        writer.write(_frame(9 if at else 1, 4 if piece is pieces[-1] else 0, 1, piece))
    writer.write(_frame(0, 1, 1, b"\0\0\0\0\0"))
    told = b""
    async with asyncio.timeout(30):
        while b"grpc-status" not in told:
            told += await reader.read(10_000)
    writer.close()
    return told


def _frame(kind, flags, stream, content):
    return len(content).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + content


def _literal(name, value):
    """A field without indexing, with a new name."""
    return b"\0" + _length(len(name)) + name.encode() + _length(len(value)) + value


def _length(number):
    """An integer with a prefix of seven bits."""
    if number < 127:
        return bytes((number,))
    number -= 127
    out = b"\x7f"
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))
