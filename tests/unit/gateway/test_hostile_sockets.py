"""WebSockets of programs that answer anything, or nothing: the client is told, and nothing of them is kept."""

import asyncio
import logging
from typing import Any

import pytest
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection
from wsproto.utilities import generate_accept_token

from meristem.gateway import connection
from meristem.gateway.websocket_tunnel import Tunnel
from meristem.transports.http.address import Address

from .conftest import PATIENCE
from .test_foreign import behind
from .test_websockets import talking

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"


class Program:
    """Accepts each WebSocket with `fields` besides, then sends `frames`; `ended` when the edge has hung up."""

    def __init__(self, frames: bytes = b"", fields: bytes = b"", *, answers: bool = True) -> None:
        self._frames = frames
        self._fields = fields
        self._answers = answers
        self.asked, self.ended = asyncio.Event(), asyncio.Event()
        self.said = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split()[1] for line in head.splitlines() if line.lower().startswith(b"sec-websocket-key"))
        self.asked.set()
        if self._answers:
            accept = b"sec-websocket-accept: %b\r\n" % generate_accept_token(key)
            writer.write(SWITCHED + accept + self._fields + b"\r\n" + self._frames)
        while data := await reader.read(65536):
            self.said += data
        self.ended.set()


async def test_a_client_that_leaves_while_a_program_does_not_answer_leaves_nothing_behind():
    program = Program(answers=False)
    async with behind(program, "/ws") as browser:
        async with talking(browser.base_url.port, "/ws/"):
            await asyncio.wait_for(program.asked.wait(), PATIENCE)

        await asyncio.wait_for(program.ended.wait(), PATIENCE)


async def test_a_subprotocol_that_nobody_asked_for_is_no_websocket(caplog):
    program = Program(fields=b"sec-websocket-protocol: other\r\n")
    caplog.set_level(logging.ERROR)
    async with behind(program, "/ws") as browser, talking(browser.base_url.port, "/ws/", subprotocols=["mine"]) as one:
        refused = await one.next()

    assert isinstance(refused, RejectConnection)
    assert refused.status_code == 502
    assert caplog.records == []


@pytest.mark.parametrize(
    ("answer", "status", "location"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", 302, b"/ws/login"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, None),
        (b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 400, None),
        (b"HTTP/1.0 404 Not Found\r\n\r\nno", 404, None),
    ],
)
async def test_a_program_that_speaks_no_websocket_answers_as_it_does_and_its_connection_ends(answer, status, location):
    ended = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if b"HTTP/1.0" not in answer:
            await reader.read()
        ended.set()

    async with behind(peer, "/ws") as browser, talking(browser.base_url.port, "/ws/") as talker:
        refused = await talker.next()
        await asyncio.wait_for(ended.wait(), PATIENCE)

    assert isinstance(refused, RejectConnection)
    assert (refused.status_code, dict(refused.headers).get(b"location")) == (status, location)


@pytest.mark.parametrize(
    "frames",
    [
        b"\xf1\x02hi",  # bits of no extension
        b"\x83\x00",  # an opcode that means nothing
        b"\x80\x02hi",  # goes on with nothing
        b"\x81\x02\xff\xfe",  # text that is none
        b"\x09\x00",  # a ping in pieces
        b"\x89\x7e\x01\x00" + b"x" * 256,  # a ping that is too long
        b"\x88\x02\x03\xed",  # a close with a code that may not be sent
        b"\x88\x01\x03",  # half a code
        b"\x81\x82maskxx",  # masked, as only a client's may be
    ],
)
async def test_a_program_that_breaks_the_protocol_is_to_blame_and_not_its_client(frames, caplog):
    program = Program(frames)
    caplog.set_level(logging.ERROR)
    async with behind(program, "/ws") as browser, talking(browser.base_url.port, "/ws/") as talker:
        events: list[Any] = [await talker.next(), await talker.next()]
        await asyncio.wait_for(program.ended.wait(), PATIENCE)

    assert isinstance(events[0], AcceptConnection)
    assert isinstance(events[1], CloseConnection)
    assert events[1].code == 1011
    assert program.said[:1] == b"\x88"  # it is told by a close, too
    assert caplog.records == []


async def test_a_close_that_answers_ours_breaks_no_protocol(caplog):
    class Upstream:
        def write(self, data: bytes) -> None:
            pass

        async def received(self) -> bytes:
            return b"\x88\x02\x03\xe8"

    upstream: Any = Upstream()
    tunnel = Tunnel(upstream)
    tunnel._send(CloseConnection(1000))

    assert [each async for each in tunnel._messages()] == []
    assert caplog.records == []


async def test_a_program_that_takes_nothing_holds_no_connection_beyond_its_end(monkeypatch):
    monkeypatch.setattr(connection, "UNTAKEN", 0.1)
    broken = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()
        while not writer.is_closing():  # what it writes itself tells it that nobody is there any more
            writer.write(b"x")
            await asyncio.sleep(0.05)
        broken.set()

    program = await asyncio.start_server(talk, "127.0.0.1", 0)
    made = await connection.connect(Address(host="127.0.0.1", port=program.sockets[0].getsockname()[1]))
    made.ask(bytes(16_000_000), "GET")
    made.end()

    await asyncio.wait_for(broken.wait(), PATIENCE)
    program.close()
