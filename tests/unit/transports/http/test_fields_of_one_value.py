"""What may be told once is told once: a second line is refused on every way in, and nothing is called."""

from __future__ import annotations

import asyncio

import pytest

from tests.suites.ways_in import WAYS, request

FIELDS = {
    "idempotency-key": ("basket-7", "basket-8"),
    "authorization": ("Bearer user-ada", "Bearer user-bob"),
    "meristem-token": ("web/ada", "web/bob"),
    "connect-timeout-ms": ("5000", "6000"),
    "connect-protocol-version": ("1", "1"),
    "content-type": ("application/json; a=b", "application/json"),
}


async def status_of(wire, server, data: bytes) -> int:
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    writer.write(data)
    status = await wire.within(reader.readline())
    writer.close()
    return int(status.split()[1])


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_field_of_one_value_in_two_lines_is_refused_and_nothing_is_called(wire, way, name):
    server = await wire.server()
    first, second = FIELDS[name]
    if name == "idempotency-key":  # the server knows such heads by now, where it recognizes any
        for _ in range(2):
            assert await status_of(wire, server, request(way, (name, first))) in (200, 201)
    calls = len(wire.handlers.contexts)

    for other in (second, first, ""):
        assert await status_of(wire, server, request(way, (name, first), (name, other))) == 400

    assert len(wire.handlers.contexts) == calls


async def test_a_message_in_a_query_is_told_once(wire):
    server = await wire.server()
    message = "message=%7B%22hotelId%22%3A1%7D"
    head = f"GET /shop.rooms.v1.Rooms/Stays?encoding=json&{message}&{message} HTTP/1.1\r\nhost: x\r\n\r\n"

    assert await status_of(wire, server, head.encode()) == 400
    assert not wire.handlers.contexts


@pytest.mark.parametrize(
    ("asked", "status"),
    [("encoding=json", 200), ("", 200), ("encoding=xml", 415), ("encoding=xproto", 415), ("encoding=json%3Bx", 200)],
)
async def test_a_call_by_get_says_an_encoding_that_is_known_as_one_by_post_does(wire, asked, status):
    server = await wire.server()
    head = f"GET /shop.rooms.v1.Rooms/Stays?{asked}&message=%7B%22hotelId%22%3A1%7D HTTP/1.1\r\nhost: x\r\n\r\n"

    assert await status_of(wire, server, head.encode()) == status
    assert len(wire.handlers.contexts) == (status == 200)
