"""A system with a service, a stream and a hosted app with WebSockets, which is sent what is no sound request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from meristem import App, Contract, Message, Service, System, safe


class Line(Message):
    name: str = ""
    amount: int = 0


class House(Contract, Protocol, package="house.v1"):
    @safe(http="GET /hello/{name}")
    async def hello(self, name: str) -> str: ...

    @safe(http="POST /lines")
    async def send(self, lines: list[Line], note: str = "") -> int: ...

    @safe(http="GET /blob")
    async def blob(self, size: int) -> str: ...

    @safe(http="GET /count")
    def count(self, until: int) -> AsyncIterator[str]: ...


class HouseService(House, Service):
    async def hello(self, name: str) -> str:
        return f"Hello, {name}!"

    async def send(self, lines: list[Line], note: str = "") -> int:
        return len(lines) + len(note)

    async def blob(self, size: int) -> str:
        return "b" * min(size, 1_000_000)

    async def count(self, until: int) -> AsyncIterator[str]:
        for number in range(min(until, 1000)):
            yield f"{number}" * 1000


async def guest(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Tells how long a body was; of `/blob` it sends ten megabytes, of a WebSocket every message back."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
    elif scope["type"] == "websocket":
        await _socket(receive, send)
    elif scope["path"].endswith("/blob"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(100):
            await send({"type": "http.response.body", "body": b"b" * 100_000, "more_body": number < 99})
    else:
        await _size(receive, send)


async def _socket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})  # which may find nobody any more
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event.get("text") or f"{len(event.get('bytes') or b'')}"})


async def _size(receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size, more = size + len(event["body"]), event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


system = System("house", services=[HouseService], apps=[App("guest", guest, mount="/app")])
