"""Every answer says when it was made, once (RFC 9110, 6.6.1)."""

from __future__ import annotations

import asyncio
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from meristem.transports.http import date
from meristem.transports.http.client.connection import ClientConnection
from meristem.transports.http.date import DATE_LENGTH, date_line

PATIENCE = 30
DATE = re.compile(rb"\r\ndate: ([^\r]+)\r\n", re.IGNORECASE)
JSON = "content-type: application/json"
ENVELOPE = b"\0\0\0\0\x02{}"
SOCKET = ("upgrade: websocket", "connection: upgrade", f"sec-websocket-key: {'A' * 22}==", "sec-websocket-version: 13")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Gives a date of its own at one path."""
    headers = [(b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT")] if scope["path"] == "/dated" else []
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    if scope["path"] == "/accept":
        await send({"type": "websocket.accept", "headers": headers})
        return
    await send({"type": f"{kind}.start", "status": 403, "headers": headers})
    await send({"type": f"{kind}.body", "body": b"no"})


def request(first: str, *lines: str, body: bytes = b"") -> bytes:
    length = (f"content-length: {len(body)}",) if body else ()
    return "\r\n".join([f"{first} HTTP/1.1", "host: x", *lines, *length, "", ""]).encode() + body


REQUESTS = {
    "rest": request("GET /api/hotels/1/stays", "connection: close"),
    "head": request("HEAD /api/hotels/1/stays", "connection: close"),
    "rpc": request("POST /shop.rooms.v1.Rooms/Stays", JSON, "connection: close", body=b'{"hotelId":1}'),
    "rpc that fails": request("POST /shop.rooms.v1.Rooms/Stays", JSON, "connection: close", body=b"{"),
    "rest that fails": request("POST /api/bookings", JSON, "connection: close", body=b"{"),
    "wrong method": request("PATCH /api/bookings", "connection: close"),
    "no request": b"GET\r\n\r\n",
    "an app": request("GET /app", "connection: close"),
    "an app's own": request("GET /dated", "connection: close"),
    "a WebSocket refused": request("GET /app", *SOCKET),
    "a WebSocket refused with its date": request("GET /dated", *SOCKET),
    "a WebSocket": request("GET /accept", *SOCKET),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_every_answer_has_one_date(wire, kind):
    server = await wire.server(app=app, linger_seconds=0.1)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    began = int(time.time())

    writer.write(REQUESTS[kind])
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)

    dates = [parsedate_to_datetime(each.decode()).timestamp() for each in DATE.findall(head)]
    if "own" in kind or "its date" in kind:
        assert dates == [0]
    else:
        assert len(dates) == 1
        assert began <= dates[0] <= time.time()
    writer.close()


async def test_who_is_one_too_many_and_who_is_idle_hear_when(wire):
    server = await wire.server(connections=1, idle_seconds=0.1)
    path = server.addresses[0].removeprefix("unix:")
    idle, first = await asyncio.open_unix_connection(path)
    many, second = await asyncio.open_unix_connection(path)

    answers = [await asyncio.wait_for(each.read(), PATIENCE) for each in (many, idle)]

    assert [each[9:12] for each in answers] == [b"503", b"408"]
    assert all(len(DATE.findall(each)) == 1 for each in answers)
    first.close()
    second.close()


@pytest.mark.parametrize("second", [0, 951_782_400, 1_764_345_599, 4_102_444_799])
def test_a_date_is_that_of_its_second_and_formatted_once(monkeypatch, second):
    monkeypatch.setattr(date, "time", lambda: second + 0.99)
    date._line_at.cache_clear()

    lines = [date_line() for _ in range(10)]

    assert parsedate_to_datetime(lines[0][6:-2].decode()).timestamp() == second
    assert {len(each) for each in lines} == {DATE_LENGTH}
    assert date._line_at.cache_info().misses == 1


async def test_the_client_reads_such_an_answer_without_a_parser(wire, monkeypatch):
    _, client = await wire.pair()
    monkeypatch.setattr(ClientConnection, "_parse", None)

    assert await client.call(wire.call("stays", hotel_id=1)) is not None
