"""What a client accepts changes no answer: each has one form (RFC 9110, 12.5.1 allows to disregard the field)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

PATIENCE = 30
GET = "GET /api/hotels/1/stays"
RPC = "POST /shop.rooms.v1.Rooms/Stays"


async def answered(server: Any, first: str, body: bytes, *lines: str) -> tuple[bytes, bytes, bytes]:
    """Status, media type and body."""
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    fixed = ("host: x", "content-type: application/json", "connection: close", f"content-length: {len(body)}")
    writer.write("\r\n".join([f"{first} HTTP/1.1", *fixed, *lines, "", ""]).encode() + body)
    head, _, found = (await asyncio.wait_for(reader.read(), PATIENCE)).partition(b"\r\n\r\n")
    writer.close()
    media = [each for each in head.split(b"\r\n") if each.startswith(b"content-type: ")]
    return head[9:12], media[0][14:], found


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml;q=1, application/json;q=0", "*/*;q=0", "nonsense", ""]
)
@pytest.mark.parametrize(
    ("first", "body", "status", "media"),
    [
        (GET, b"", b"200", b"application/json"),
        ("GET /api/hotels/x/stays", b"", b"422", b"application/problem+json"),
        ("GET /api/openapi.jsonx", b"", b"404", b"application/problem+json"),
        (RPC, b'{"hotelId":1}', b"200", b"application/json"),
        (RPC, b"{", b"400", b"application/json"),
    ],
)
async def test_an_answer_has_its_one_form_whatever_is_accepted(wire, first, body, status, media, accept):
    server = await wire.server()

    found = await answered(server, first, body, f"accept: {accept}")

    assert found[:2] == (status, media)
    assert found == await answered(server, first, body)
