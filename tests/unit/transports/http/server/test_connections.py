"""What a connection of the server does with bytes: whole, in pieces, mixed, malformed, slow or abandoned."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meristem.transports.http.server import listener

ECHO = "/shop.rooms.v1.Rooms/Blob"


PATIENCE = 30  # seconds


class Peer:
    """A raw client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: Any) -> Peer:
        return cls(*await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:")))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(PATIENCE):
            return await self._answer()

    async def _answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(re.split(r": ?", line.lower(), maxsplit=1) for line in lines)
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return int(status.split()[1]), headers, body
        return int(status.split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def end(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), PATIENCE)


def rpc(body: bytes = b'{"data":"eA=="}', *lines: str, path: str = ECHO) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


GET = b"GET /api/hotels/5/stays HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
async def server(wire):
    return await wire.server()


@pytest.fixture
async def dial():
    opened = []

    async def connect(server):
        opened.append(await Peer.connect(server))
        return opened[-1]

    yield connect
    for each in opened:
        each.writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
async def peer(server, dial):
    return await dial(server)


async def test_a_request_may_arrive_byte_by_byte(peer):
    for byte in rpc():
        peer.send(bytes([byte]))
        await asyncio.sleep(0)

    status, fields, body = await peer.answer()
    assert (status, fields["content-length"], body) == (200, "17", b'{"result":"eA=="}')


@pytest.mark.parametrize("size", [1, 7, 50, 100_000])
async def test_pipelined_requests_of_both_kinds_are_answered_in_order(peer, size):
    requests = (rpc() + GET) * 3 + rpc(b'{"data":"eXk="}') * 2 + GET

    for start in range(0, len(requests), size):
        peer.send(requests[start : start + size])
        await asyncio.sleep(0)
    bodies = [(await peer.answer())[2] for _ in range(9)]

    one, two = b'{"result":"eA=="}', b'{"result":"eXk="}'
    stays = bodies[1]
    assert json.loads(stays)[0]["hotel_id"] == 5
    assert bodies == [one, stays] * 3 + [two, two, stays]


async def test_a_pipelined_request_does_not_lend_its_headers_to_the_one_before(wire, dial):
    server = await wire.server(secured=True)
    peer = await dial(server)
    describe = "/shop.rooms.v1.Rooms/Describe"

    peer.send(rpc(b"{}", path=describe) + rpc(b"{}", "meristem-token: search/anna", path=describe))

    assert (await peer.answer())[0] == 403
    assert json.loads((await peer.answer())[2])["result"]["user"] == "anna"


async def test_a_thousand_pipelined_requests_are_answered(peer):
    peer.send(rpc() * 1000)

    for _ in range(1000):
        assert (await peer.answer())[0] == 200


async def test_a_chunked_request_is_answered(peer):
    head = f"POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    body = b'6\r\n{"data\r\n9\r\n":"eA=="}\r\n0\r\n\r\n'

    peer.send(head.encode() + body + rpc())

    assert (await peer.answer())[2] == b'{"result":"eA=="}'
    assert (await peer.answer())[2] == b'{"result":"eA=="}'


async def test_expect_continue_is_answered(wire, peer):
    request = rpc(b'{"data":"eA=="}', "expect: 100-continue")
    head, body = request.split(b"\r\n\r\n")

    peer.send(head + b"\r\n\r\n")
    assert await wire.within(peer.reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(body)

    assert (await peer.answer())[0] == 200


async def test_connection_close_is_obeyed(peer):
    peer.send(rpc(b'{"data":"eA=="}', "connection: close"))

    assert (await peer.answer())[0] == 200
    assert await peer.end() == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
        (f"POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n".encode(), 400),
        (f"POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".encode(), 400),
        (rpc(b"x", "transfer-encoding: chunked"), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000, 431),
    ],
)
async def test_malformed_requests_get_a_problem_and_the_door(peer, data, status, caplog):
    peer.send(data)

    found, headers, body = await peer.answer()

    assert found == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert json.loads(body)["status"] == status
    assert await peer.end() == b""
    assert caplog.records == []


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.builds(
            lambda cut, junk, at: rpc()[:cut] + junk + rpc()[at:],
            st.integers(0, 150),
            st.binary(max_size=20),
            st.integers(0, 150),
        ),
        st.builds(lambda name, value: rpc(b"{}", f"{name}: {value}"), st.text(max_size=20), st.text(max_size=40)),
    )
)
async def test_no_bytes_break_the_server(server, data, caplog, dial):
    peer = await dial(server)
    peer.send(data)
    peer.writer.write_eof()

    answers = await peer.end()

    assert re.findall(rb"^HTTP/1.1 5(?!01|05)\d\d", answers, re.MULTILINE) == []
    assert [record for record in caplog.records if record.exc_info] == []
    other = await dial(server)
    other.send(rpc())
    assert (await other.answer())[0] == 200


@pytest.mark.parametrize(
    "data",
    [b"POST /", rpc()[:-3], b"GET /api HTTP/1.1\r\nhost", GET + b"GET /a", rpc(b"{}", "expect: 100-continue")[:-2]],
)
async def test_who_sends_slowly_is_cut_off(wire, data, dial):
    server = await wire.server(head_seconds=0.2, body_seconds=0.2, idle_seconds=60, linger_seconds=0.2)
    peer = await dial(server)

    peer.send(data)

    await peer.end()
    await wire.emptied(server)


async def test_a_slow_head_is_told_why(wire, dial):
    server = await wire.server(head_seconds=0.1)
    peer = await dial(server)
    peer.send(b"POST /")

    status, _, body = await peer.answer()

    assert status == 408
    assert "0.1 s" in json.loads(body)["detail"]


async def test_an_idle_connection_is_closed_in_time(wire):
    server = await wire.server(idle_seconds=0.1, linger_seconds=0.1)
    client = wire.client(server)
    await client.call(wire.call("blob", data=b"x"))

    await wire.emptied(server)

    assert await client.call(wire.call("blob", data=b"x")) == b"x"


def stall(seconds: float) -> None:
    """Stand still, as on a machine that stops now and then: what a peer sends meanwhile stays unread."""
    time.sleep(seconds)


async def test_time_in_which_this_process_stood_still_is_not_counted_against_its_peers(wire, dial):
    peer = await dial(await wire.server(idle_seconds=0.2, head_seconds=0.2))
    peer.send(GET)
    await peer.answer()

    stall(0.5)
    for _ in range(5):
        await asyncio.sleep(0)
    peer.send(GET[:20])
    await asyncio.sleep(0)
    stall(0.5)
    for _ in range(5):
        await asyncio.sleep(0)
    peer.send(GET[20:])

    assert (await peer.answer())[0] == 200


async def test_a_handler_that_works_longer_than_every_limit_is_not_disturbed(wire):
    server, client = await wire.pair(idle_seconds=0.1, head_seconds=0.1, body_seconds=0.1, write_seconds=0.1)
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    await asyncio.sleep(0.3)  # the time that passes is the matter of this test

    wire.handlers.release.set()

    assert await calling is None
    assert server.connections == 1


async def test_connections_beyond_the_limit_are_refused(wire, dial):
    server = await wire.server(connections=2)
    peers = [await dial(server) for _ in range(3)]

    status, _, _ = await peers[2].answer()

    assert status == 503
    peers[0].send(rpc())
    assert (await peers[0].answer())[0] == 200


async def test_beyond_the_limit_one_that_is_idle_gives_way_and_one_that_works_does_not(wire, dial, monkeypatch):
    monkeypatch.setattr(listener, "GIVES_WAY", 0.3)
    server = await wire.server(connections=2)
    working, kept = await dial(server), await dial(server)
    working.send(rpc(b"{}", path="/shop.rooms.v1.Rooms/Wait"))
    await wire.within(wire.handlers.started.wait())
    kept.send(rpc())
    assert (await kept.answer())[0] == 200

    refused = await dial(server)
    assert (await refused.answer())[0] == 503  # it was used just now
    for _ in range(100):
        later = await dial(server)
        later.send(rpc())
        if (await later.answer())[0] == 200:
            break
        await asyncio.sleep(0.1)

    assert await wire.within(kept.reader.read()) == b""
    wire.handlers.release.set()
    assert (await working.answer())[0] == 200


async def test_a_client_that_goes_cancels_what_runs_for_it(wire, server, peer):
    peer.send(rpc(b"{}", path="/shop.rooms.v1.Rooms/Wait"))
    await wire.within(wire.handlers.started.wait())

    peer.writer.transport.abort()

    await wire.within(wire.handlers.cancelled.wait())


async def test_who_does_not_read_is_not_served_and_then_cut_off(wire, dial):
    server = await wire.server(write_seconds=0.3)
    peer = await dial(server)
    peer.reader._transport.pause_reading()
    body = json.dumps({"data": "eHh4" * 100_000}).encode()

    for _ in range(20):
        peer.send(rpc(body))

    await wire.within(wire.handlers.used.wait())
    await wire.emptied(server)
    assert 0 < len(wire.handlers.contexts) < 20


async def test_a_websocket_of_a_hosted_app_works_on_the_same_port(wire, dial):
    wsproto = pytest.importorskip("wsproto")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"].upper()})
        await send({"type": "websocket.close"})

    server = await wire.server(app=app)
    peer = await dial(server)
    peer.send(rpc())
    assert (await peer.answer())[0] == 200
    ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    peer.send(ws.send(wsproto.events.Request(host="x", target="/")))
    ws.receive_data(await wire.within(peer.reader.readuntil(b"\r\n\r\n")))
    peer.send(ws.send(wsproto.events.TextMessage("hello")))
    ws.receive_data(await wire.within(peer.reader.readexactly(7)))

    events = list(ws.events())

    assert isinstance(events[0], wsproto.events.AcceptConnection)
    assert events[1].data == "HELLO"


async def test_frames_that_come_before_the_handshake_is_answered_end_the_connection(wire, dial, caplog):
    """A client waits for the answer (RFC 6455, 4.1); uvicorn would fail on what comes before."""
    pytest.importorskip("wsproto")
    gone = asyncio.Event()

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass
        gone.set()

    server = await wire.server(app=app)
    peer = await dial(server)

    peer.send(
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n\x81\x80aaaa"
    )

    await wire.within(gone.wait())
    await wire.emptied(server)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", ["/api/bookings", "/shop.rooms.v1.Rooms/Blob", "/app"])
@pytest.mark.parametrize(
    ("version", "expected", "told"),
    [("1.1", "100-Continue", True), ("1.0", "100-continue", False), ("1.1", "x", False)],
)
async def test_only_who_asks_in_a_version_that_knows_it_is_told_to_continue(wire, path, version, expected, told):
    server = await wire.server(app=echoing)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    lines = ("host: x", "content-type: application/json", "content-length: 2", "connection: close")

    writer.write("\r\n".join([f"POST {path} HTTP/{version}", *lines, f"expect: {expected}", "", ""]).encode())
    if told:
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30) == b"HTTP/1.1 100 Continue\r\n\r\n"
    else:
        for _ in range(20):  # in which a server that tells it would have told it
            await asyncio.sleep(0)
    writer.write(b"{}")

    assert b"HTTP/1.1 100" not in await asyncio.wait_for(reader.read(), 30)
    writer.close()


async def echoing(scope: Any, receive: Any, send: Any) -> None:
    """An app that gives back the body."""
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event["body"], event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
