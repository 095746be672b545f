"""WebSockets of apps in other processes: messages, subprotocols, refusals and ends pass the edge."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import quart
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from meristem import App

from .conftest import PATIENCE, Divided


class Talker:
    """A client of wsproto: what is sent, and the events that come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events: list[Any] = []

    def send(self, event: Any) -> None:
        self.writer.write(self._protocol.send(event))

    async def next(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not self._events:
                data = await self._reader.read(65536)
                if not data:
                    return None
                self._protocol.receive_data(data)
                self._events += self._protocol.events()
        return self._events.pop(0)


@asynccontextmanager
async def talking(edge: Divided | int, path: str, *, subprotocols: list[str] | None = None):
    """A WebSocket at the port of an edge."""
    port = edge if isinstance(edge, int) else edge.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    talker = Talker(reader, writer)
    talker.send(Request(host=f"127.0.0.1:{port}", target=path, subprotocols=subprotocols or []))
    try:
        yield talker
    finally:
        writer.close()


def modern() -> fastapi.FastAPI:
    api = fastapi.FastAPI()

    @api.websocket("/echo")
    async def echo(socket: fastapi.WebSocket) -> None:
        await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None), headers=[(b"x-room", b"one")])
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                api.state.code = message["code"]
                api.state.left.set()
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"].upper())
            else:
                await socket.send_bytes(message["bytes"])

    @api.websocket("/where")
    async def where(socket: fastapi.WebSocket) -> None:
        await socket.accept()
        await socket.send_json(
            [str(socket.url), socket.client.host if socket.client else "", socket.scope["root_path"]]
        )
        await socket.close(4001, "that is all")

    @api.websocket("/closed")
    async def closed(socket: fastapi.WebSocket) -> None:
        await socket.close()

    api.state.left = asyncio.Event()
    return api


async def test_messages_subprotocol_and_fields_pass_and_a_close_is_told_with_its_code(divided):
    api = modern()
    async with (
        divided(App("modern", api, mount="/fast")) as system,
        talking(system, "/fast/echo", subprotocols=["chat", "other"]) as talker,
    ):
        accepted = await talker.next()
        talker.send(TextMessage("hällo"))
        text = await talker.next()
        talker.send(BytesMessage(b"\0" * 300_000))
        data = b""
        while len(data) < 300_000:
            data += (await talker.next()).data
        talker.send(Ping(b"there?"))
        pong = await talker.next()
        talker.send(CloseConnection(4002))
        await asyncio.wait_for(api.state.left.wait(), PATIENCE)

    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "chat"
    assert (b"x-room", b"one") in [(name.lower(), value) for name, value in accepted.extra_headers]
    assert (text.data, data, pong) == ("HÄLLO", b"\0" * 300_000, Pong(b"there?"))
    assert api.state.code == 4002


async def test_an_app_sees_the_url_that_its_client_asked_for_and_its_close_arrives(divided):
    async with divided(App("modern", modern(), mount="/fast")) as system, talking(system, "/fast/where?a=1") as talker:
        await talker.next()
        told = await talker.next()
        close = await talker.next()
        url = f"ws://127.0.0.1:{system.port}/fast/where?a=1"

    assert told.data == f'["{url}","127.0.0.1","/fast"]'
    assert (close.code, close.reason) == (4001, "that is all")


async def test_a_refusal_is_the_apps_own(divided):
    site = quart.Quart(__name__)

    @site.websocket("/private")
    async def private() -> tuple[str, int]:
        return "sign in", 401

    async with divided(App("modern", modern(), mount="/fast"), App("quart", site, mount="/quart")) as system:
        async with talking(system, "/fast/closed") as talker:
            closed = await talker.next()
        async with talking(system, "/quart/private") as talker:
            refused = [await talker.next(), await talker.next()]

    assert isinstance(closed, RejectConnection)
    assert closed.status_code == 403
    assert isinstance(refused[0], RejectConnection)
    assert (refused[0].status_code, refused[1]) == (401, RejectData(b"sign in", body_finished=False))


async def test_a_client_that_leaves_is_told_to_the_app(divided):
    api = modern()
    async with divided(App("modern", api, mount="/fast")) as system:
        async with talking(system, "/fast/echo") as talker:
            await talker.next()
        await asyncio.wait_for(api.state.left.wait(), PATIENCE)


async def test_a_process_that_dies_or_drains_closes_its_sockets_as_restarting(divided):
    async with (
        divided(App("modern", modern(), mount="/fast"), replicas=2) as system,
        talking(system, "/fast/echo") as one,
        talking(system, "/fast/echo") as other,
    ):
        await one.next()
        await other.next()
        await system.end("modern", 0, drains=False)
        await system.end("modern", 1)
        codes = [(await each.next()).code for each in (one, other)]

    assert codes == [1012, 1012]


async def test_where_nobody_is_there_a_websocket_is_refused(divided):
    async with divided(App("modern", modern(), mount="/fast"), away=0.2) as system:
        await system.end("modern")
        async with talking(system, "/fast/echo") as talker:
            refused = await talker.next()

    assert isinstance(refused, RejectConnection)
    assert refused.status_code == 503


async def test_a_client_that_does_not_read_holds_up_the_app_and_nobody_else(divided):
    api = fastapi.FastAPI()
    sent = 0

    @api.websocket("/flood")
    async def flood(socket: fastapi.WebSocket) -> None:
        nonlocal sent
        await socket.accept()
        while True:
            await socket.send_bytes(b"x" * 65536)
            sent += 1

    async with divided(App("modern", api, mount="/fast")) as system, talking(system, "/fast/flood"):
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        other = await system.browser.get("/fast/docs")

    assert other.status_code == 200
    assert 0 < sent < 1000
