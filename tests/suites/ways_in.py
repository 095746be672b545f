"""Every way by which a call of the small shop comes into a server, as bytes."""

from __future__ import annotations

import json

STAY = json.dumps({"hotel_id": 1, "city": "Rome", "arrival": "2030-01-02"})
JSON = "content-type: application/json"
OWN = "user-agent: meristem/1"

WAYS = {
    "rest": ("GET /api/hotels/1/stays HTTP/1.1", [], b""),
    "rest with a body": ("POST /api/bookings HTTP/1.1", [JSON], STAY.encode()),
    "rest as a stream": ("GET /api/count?until=1 HTTP/1.1", [], b""),
    "rpc": ("POST /shop.rooms.v1.Rooms/Describe HTTP/1.1", [JSON], b"{}"),
    "rpc of a user": ("POST /shop.rooms.v1.Rooms/Describe HTTP/1.1", [JSON, "authorization: Bearer user-1"], b"{}"),
    "rpc by the name of our client": ("POST /shop.rooms.v1.Rooms/Describe HTTP/1.1", [JSON, OWN], b"{}"),
    "rpc as our client writes it": (
        "POST /shop.rooms.v1.Rooms/Describe HTTP/1.1",
        [OWN, JSON, "connect-protocol-version: 1"],
        b"{}",
    ),
    "rpc by get": ("GET /shop.rooms.v1.Rooms/Stays?encoding=json&message=%7B%22hotelId%22%3A1%7D HTTP/1.1", [], b""),
    "rpc as a stream": (
        "POST /shop.rooms.v1.Rooms/Count HTTP/1.1",
        ["content-type: application/connect+json"],
        b'\0\0\0\0\x0b{"until":1}',
    ),
}  # fmt: skip


def request(way: str, *lines: tuple[str, str]) -> bytes:
    """The request that goes a way, with further lines in its head."""
    first, fields, body = WAYS[way]
    length = [f"content-length: {len(body)}"] if body else []
    own = [f"{name}: {value}" for name, value in lines]
    return "\r\n".join([first, "host: localhost", *fields, *own, *length, "", ""]).encode() + body
