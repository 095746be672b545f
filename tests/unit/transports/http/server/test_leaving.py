"""A client that leaves: the app that answers it is told, and one that streams without an end ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

GET = b"GET /app HTTP/1.1\r\nhost: x\r\n\r\n"


class Scene:
    """A server whose app is asked for an answer by a client that leaves after its beginning."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def left(self, app: Any, *, after: bytes = b"") -> None:
        server = await self.wire.server(app=app)
        reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
        writer.write(GET)
        await self.wire.within(self.began.wait())
        if after:
            await self.wire.within(reader.readuntil(after))
        writer.close()
        await self.wire.emptied(server)
        listener = server._listeners[0].listener
        while listener.hosted:
            await asyncio.sleep(0)


@pytest.fixture
def scene(wire):
    return Scene(wire)


async def test_an_endless_stream_of_a_framework_ends_with_its_client(scene, caplog):
    async def numbers() -> AsyncIterator[str]:
        while True:
            scene.began.set()
            yield "1\n"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(numbers())(scope, receive, send)

    await scene.left(app, after=b"1\n")  # which waits for its end

    assert [each for each in caplog.records if each.levelno >= logging.INFO] == []


async def test_a_quiet_stream_of_a_framework_ends_with_its_client_and_cleans_up(scene, caplog):
    """It has nothing to send by which it could learn of the leaving, so its framework must listen for that."""
    behind = asyncio.Event()

    async def numbers() -> AsyncIterator[str]:
        yield "1\n"
        scene.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            scene.ended.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(numbers(), background=BackgroundTask(behind.set))(scope, receive, send)

    await scene.left(app, after=b"1\n")

    assert scene.ended.is_set()
    assert behind.is_set()
    assert [each for each in caplog.records if each.levelno >= logging.INFO] == []


async def test_an_app_that_listens_for_nothing_is_ended_by_what_it_sends(scene, caplog):
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                scene.began.set()
                await send({"type": "http.response.body", "body": b"1\n", "more_body": True})
        except OSError:
            scene.ended.set()
            raise

    await scene.left(app, after=b"1\n")

    assert scene.ended.is_set()
    assert [each for each in caplog.records if each.levelno >= logging.INFO] == []


async def test_what_an_app_does_after_its_whole_answer_is_done_though_its_client_has_left(scene, caplog):
    """An answer that is complete raises nothing: a framework's tasks after it would be lost else."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scene.began.set()
        while not await Request(scope, receive).is_disconnected():
            await asyncio.sleep(0)
        await PlainTextResponse("1", background=BackgroundTask(scene.ended.set))(scope, receive, send)

    await scene.left(app)

    assert scene.ended.is_set()
    assert [each for each in caplog.records if each.levelno >= logging.INFO] == []


async def test_an_error_of_the_app_that_has_nothing_to_do_with_the_leaving_is_logged(scene, caplog):
    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        scene.began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        raise LookupError("of the app's own")

    await scene.left(app)

    assert "the app at /app failed" in caplog.text
