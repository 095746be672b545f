"""While much is sent to clients that read as fast as it comes, others are answered in time."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from meristem.hosting.wsgi.application import WSGIHost
from meristem.resilience.limits import Limits
from meristem.transports.http.server.pacing import PacedConnection

from .neighbours import PATIENCE, ROUNDS, House, allowed, opened, work_a_little

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
MIB = 1024 * 1024
SMALL, COSTLY = 40_000, 2000  # parts: what each held for a quarter of a second or more

# In a process of its own: on the loop of the server it would read only when that turns.
READER = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(sys.stdin.buffer.read())
left = int(sys.argv[2])
while left > 0:
    left -= len(peer.recv(1 << 20)) or left
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Sends as many parts as its path says, and never waits for anything else."""
    _, kind, count = scope["path"].split("/")
    if kind == "wsgi":
        await threaded(scope, receive, send)
    elif kind == "socket":
        await receive()
        await send({"type": "websocket.accept"})
        await parted(send, int(count), {"type": "websocket.send", "bytes": bytes(64)})
    elif kind == "gone":
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await parted(send, int(count), {"type": "http.response.body", "body": b"", "more_body": True})
    elif kind == "deaf":
        for _ in range(int(count)):
            await receive()
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await parted(send, int(count), {"type": "http.response.body", "body": bytes(64), "more_body": True})
        await send({"type": "http.response.body"})


async def parted(send: Any, count: int, message: dict[str, Any]) -> None:
    for _ in range(count):
        if count == COSTLY:
            work_a_little()
        with suppress(OSError):  # as an app that takes no notice
            await send(message)


def parts(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [])
    return (bytes(64) for _ in range(int(environ["PATH_INFO"].rpartition("/")[2])))


threaded = WSGIHost("parts", parts, Limits())


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "host: x", "", ""]).encode()


def get(path: str, *lines: str) -> bytes:
    return head(f"GET {path} HTTP/1.1", "connection: close", *lines)


def rpc(method: str, media: str, body: bytes, *lines: str) -> bytes:
    path = f"POST /neighbours.v1.Orders/{method} HTTP/1.1"
    return head(path, f"content-type: {media}", f"content-length: {len(body)}", *lines) + body


def request(kind: str, count: int) -> bytes:
    if kind in ("lines", "events"):
        media = "text/event-stream" if kind == "events" else "application/jsonl"
        return get(f"/api/blobs?count={count}&costly={str(count == COSTLY).lower()}", f"accept: {media}")
    if kind == "connect":
        body = json.dumps({"count": count, "costly": count == COSTLY}).encode()
        enveloped = b"\0" + len(body).to_bytes(4, "big") + body
        return rpc("Blobs", "application/connect+json", enveloped, "connection: close")
    if kind == "socket":
        upgrade = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13")
        return head(f"GET /socket/{count} HTTP/1.1", *upgrade, "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==")
    return get(f"/{kind}/{count}")


def framed(count: int, size: int) -> bytes:
    """Calls of a connection that carries many at once, each for so large a reply."""
    upgrade = ("user-agent: meristem/1", "connection: upgrade", "upgrade: meristem-calls")
    call = rpc("Blob", "application/json", b'{"size":%d}' % size, "user-agent: meristem/1")
    frames = (struct.pack("<IIB", len(call), number, 0) + call for number in range(count))
    return head("GET /meristem-calls HTTP/1.1", *upgrade) + b"".join(frames)


async def read(path: str, request: bytes, *, end: bool = False) -> int:
    """How much comes in answer to a request, after which this side may say that it sends no more."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    if end:
        writer.write_eof()
    size = 0
    async with asyncio.timeout(PATIENCE):
        while part := await reader.read(MIB):
            size += len(part)
    writer.close()
    return size


async def read_elsewhere(path: str, request: bytes, size: int) -> None:
    """Have another process read so much of the answer to a request, as fast as it comes."""
    command = [sys.executable, "-S", "-c", READER, path, str(size)]
    reader = await asyncio.create_subprocess_exec(*command, stdin=PIPE)
    async with asyncio.timeout(PATIENCE):
        await reader.communicate(request)


@pytest.fixture
async def house(tmp_path: Any) -> AsyncIterator[House]:
    async with opened(f"{tmp_path}/s", app) as house:
        yield house


@pytest.fixture
def all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that are never waited for, however busy the machine is."""
    monkeypatch.setattr(PacedConnection, "pause_writing", lambda _self: None)


KINDS = [("wsgi", SMALL), *((kind, each) for kind in ("app", "lines", "connect", "socket") for each in (SMALL, COSTLY))]


@pytest.mark.parametrize(("kind", "count"), [("events", SMALL), *KINDS])
@pytest.mark.usefixtures("all_read")
async def test_a_neighbour_waits_fifty_milliseconds_at_most_while_an_answer_has_no_end(house, kind, count):
    for _ in range(ROUNDS):
        work = asyncio.ensure_future(read(house.path, request(kind, count)))
        longest = max(await house.waits(work))
        assert await work >= 64 * count
        if not (is_late := longest > allowed()):
            break
    assert not is_late, longest


@pytest.mark.usefixtures("all_read")
async def test_a_neighbour_waits_no_longer_while_a_hundred_answers_have_no_end(house):
    work = asyncio.gather(*(read(house.path, request("app", 1000)) for _ in range(100)))

    assert max(await house.waits(work)) <= allowed()


@pytest.mark.parametrize("kind", ["gone", "deaf"])
async def test_a_neighbour_waits_no_longer_for_an_app_that_goes_on_when_its_client_has_left(house, kind):
    _, writer = await asyncio.open_unix_connection(house.path)
    writer.write(get(f"/{kind}/{10 if kind == 'gone' else 200_000}"))
    await writer.drain()
    while not (answers := house.server._listeners[0].listener.hosted):
        await asyncio.sleep(0)
    writer.close()

    assert max(await house.waits(asyncio.gather(*answers))) <= allowed()


@pytest.mark.parametrize(("count", "size"), [(1000, 60_000), (1000, 200_000)])
async def test_a_neighbour_waits_no_longer_while_many_calls_are_answered_over_one_connection(house, count, size):
    for _ in range(ROUNDS):
        work = asyncio.ensure_future(read_elsewhere(house.path, framed(count, size), count * size))
        longest = max(await house.waits(work))
        if not (is_late := longest > allowed()):
            break
    assert not is_late, longest


@pytest.mark.parametrize("kind", ["cancelled at once", "cancelled only", "refused"])
async def test_a_neighbour_waits_no_longer_for_a_flood_of_frames(house, kind):
    call = rpc("Blob", "application/json", b'{"size":10}', "user-agent: meristem/1")
    one = {
        "cancelled at once": lambda number: struct.pack("<IIB", len(call), number, 0) + call + _cancel(number),
        "cancelled only": _cancel,
        "refused": lambda number: struct.pack("<IIB", 3, number, 0) + b"no\n",
    }[kind]
    flood = framed(0, 0) + b"".join(map(one, range(20_000)))

    assert max(await house.waits(asyncio.ensure_future(read(house.path, flood, end=True)))) <= allowed()


def _cancel(number: int) -> bytes:
    return struct.pack("<IIB", 0, number, 2)
