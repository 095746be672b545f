"""Requests on a real socket: where one ends is the server's word, whatever a client says of upgrades and trailers."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

PATIENCE = 30
RPC = "/shop.rooms.v1.Rooms/Blob"
BODY = b'{"data":"eA=="}'
SMUGGLED = b"GET /app/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


class Guest:
    """A hosted app that keeps what it was asked for, and answers with the body that it read."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fields: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        self.fields.append(dict(scope["headers"]))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event["body"], event["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def guest():
    return Guest()


@pytest.fixture
async def ask(wire, guest):
    """Sends parts one by one, each read by the server before the next; gives all that comes back."""
    server = await wire.server(app=guest, head_seconds=0.5, body_seconds=0.5, idle_seconds=0.5, linger_seconds=0.1)

    async def send(*parts: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
        for part in parts:
            writer.write(part)
            for _ in range(6):
                await asyncio.sleep(0)
        answers = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        return answers

    return send


def statuses(answers: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+)", answers) if each != b"408"]


def post(path: str, *lines: str, body: bytes = BODY) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *lines]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


UPGRADES = [
    ("Connection: Upgrade", "Upgrade: foo"),
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    ("Connection: Upgrade", "Upgrade: websocket"),
    (
        "Connection: upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ),
]
PATHS = ["/app/x", RPC, "/api/bookings"]


@pytest.mark.parametrize("lines", UPGRADES, ids=lambda lines: lines[1])
@pytest.mark.parametrize("path", PATHS)
async def test_the_body_of_a_request_that_asks_for_an_upgrade_is_its_body(ask, guest, path, lines):
    request = post(path, *lines, body=SMUGGLED)
    end = request.index(b"\r\n\r\n") + 4

    for parts in ((request,), (request[:end], request[end:]), (request[: end + 9], request[end + 9 :])):
        assert len(statuses(await ask(*parts))) == 1
    assert "/app/smuggled" not in guest.asked


async def test_the_body_of_an_ignored_upgrade_is_read_by_rpc_rest_and_apps(ask):
    stay = b'{"hotel_id":7,"city":"Rome","arrival":"2030-01-02"}'

    for path, body, expected in (
        (RPC, BODY, b'{"result":"eA=="}'),
        ("/api/bookings", stay, b'{"booking_id":"b7","guest":"Rome"}'),
        ("/app/x", b"hello", b"hello"),
    ):
        request = post(path, *UPGRADES[1], body=body)
        assert expected in await ask(request)
        assert expected in await ask(*(bytes([byte]) for byte in request))


@pytest.mark.parametrize("path", [RPC, "/api/hotels/1/stays", "/api/docs"])
async def test_a_websocket_to_what_is_no_apps_is_refused(ask, path):
    lines = "\r\n".join(("host: x", *UPGRADES[3]))

    assert statuses(await ask(f"GET {path} HTTP/1.1\r\n{lines}\r\n\r\n".encode())) == [403]


TRAILERS = b"authorization: Bearer user-eve\r\nx-user: root\r\ncontent-length: 3\r\n"


@pytest.mark.parametrize("path", PATHS)
async def test_trailers_never_become_fields_in_any_segmentation(ask, guest, wire, path):
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    stay = b'{"hotel_id":7,"city":"Rome","arrival":"2030-01-02"}' if "api" in path else BODY
    request = head.encode() + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(stay), stay, TRAILERS)

    for cut in range(len(head), len(request)):
        answers = await ask(request[:cut], request[cut:] + b"GET /api/nothing HTTP/1.0\r\n\r\n")
        assert statuses(answers)[0] in (200, 201), answers
        assert len(statuses(answers)) == 2
    assert all(b"x-user" not in each and b"authorization" not in each for each in guest.fields)
    assert all(each.user is None for each in wire.handlers.contexts)


@pytest.mark.parametrize("path", PATHS)
async def test_pipelined_requests_with_bodies_of_both_kinds_are_told_apart(ask, path):
    chunked = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    stay = b'{"hotel_id":7,"city":"Rome","arrival":"2030-01-02"}' if "api" in path else BODY
    both = post(path, body=stay) + chunked.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(stay), stay)

    for size in (1, 5, 64, 10_000):
        stream = both * 3
        answers = await ask(*(stream[at : at + size] for at in range(0, len(stream), size)))
        assert len(statuses(answers)) == 6
        assert set(statuses(answers)) <= {200, 201}


async def test_an_answer_before_the_body_is_read_ends_a_long_request(wire, guest):
    """Whoever sends on is not taken for the sender of a new request."""

    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        guest.asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    server = await wire.server(app=hasty, linger_seconds=0.1)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    writer.write(post("/app/short", body=SMUGGLED))
    writer.write(b"POST /app/long HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + SMUGGLED * 10)
    answers = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.write(SMUGGLED)
    await wire.emptied(server)

    assert statuses(answers) == [403, 403]
    assert guest.asked == ["/app/short", "/app/long"]
    writer.close()


@pytest.mark.parametrize("path", [RPC, "/api/bookings"])
async def test_media_types_are_compared_alike_in_rpc_and_rest(ask, path):
    body = BODY if path == RPC else b'{"hotel_id":7,"city":"Rome","arrival":"2030-01-02"}'

    def typed(media: str) -> bytes:
        return post(path, body=body).replace(b"application/json", media.encode())

    for media in ("Application/JSON", "application/json;charset=utf-8", 'application/json ; Charset="UTF-8"; a=b'):
        assert statuses(await ask(typed(media)))[0] in (200, 201)
    for media in (
        "application/json; charset=latin-1",
        "text/json",
        "application/jsonp",
        "application/json, text/plain",
    ):
        assert statuses(await ask(typed(media))) == [415]


async def test_a_body_in_a_coding_that_is_not_known_is_415_and_says_which_are(ask):
    answers = await ask(post("/api/bookings", "content-encoding: br"))

    assert statuses(answers) == [415]
    assert b"accept-encoding: gzip, identity\r\n" in answers
    assert json.loads(answers.split(b"\r\n\r\n")[1].split(b"HTTP/")[0])["status"] == 415


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (200, [(b"content-length", b"2"), (b"content-length", b"5")]),
        (200, [(b"content-length", b"5"), (b"content-length", b"5")]),
        (200, [(b"content-length", b"5"), (b"a b", b"c")]),
        (200, [(b"content-length", b"5"), (b"a", b"b\r\nc: d")]),
        (100, []),
        (101, [(b"upgrade", b"x")]),
        (99, []),
        (600, []),
    ],
)
async def test_an_answer_that_a_client_could_read_in_two_ways_is_told_as_a_failure_of_its_app(wire, status, fields):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"hello"})

    server = await wire.server(app=app)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    writer.write(b"GET /app HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
    for _ in range(2):
        found = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert found.startswith(b"HTTP/1.1 500 ")
        assert found.count(b"content-length: ") == 1
        assert await asyncio.wait_for(reader.readexactly(21), PATIENCE) == b"Internal Server Error"
    writer.close()
