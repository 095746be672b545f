"""A refusal comes before the body, a body is as long as it may be, and an answer comes in time or not at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from meristem.asgi import respond
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from tests.unit.gateway.policy.edge_server import edge

TAKEN: list[int] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            TAKEN.append(-1)
            return
        size += len(message["body"])
        more = message["more_body"]
    TAKEN.append(size)
    await respond(send, 200, b"text/plain", b"%d" % size)


SMALL = GatewayTable(body_bytes=10, routes={"upload": GatewayRouteTable("/upload", body_bytes=200_000)})


async def test_a_body_whose_length_is_told_is_refused_before_it_comes():
    async with edge(SMALL, app) as there:
        assert (await there.ask("POST", body=b"0123456789")).status == 200
        assert (await there.ask("POST", "/upload", b"x" * 200_000)).body == b"200000"
        client = await there.connect()
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n")  # and nothing of it
        answer = await client.answer()
        assert answer.status == 413
        assert json.loads(answer.body)["detail"] == "a body may have 10 bytes here"
        client.send(b"01234567890")
        assert (await client.ask()).status == 200, "of a small body the connection goes on behind it"


async def test_of_a_large_body_that_is_refused_the_connection_ends():
    async with edge(SMALL, app) as there:
        client = await there.connect()
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 1000)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (413, "close")
        client = await there.connect()
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (413, "close"), "and it is not asked for"


async def test_a_body_in_chunks_is_counted_as_it_comes():
    TAKEN.clear()
    async with edge(SMALL, app) as there:
        client = await there.connect()
        head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        client.send(head + b"5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n")
        assert (await client.answer()).body == b"10"
        client.send(head + b"5\r\nabcde\r\n")
        client.send(b"6\r\nabc")
        answer = await client.answer()
        assert answer.status == 413
        assert answer.fields["x-content-type-options"] == "nosniff"
        client = await there.connect()
        client.send(head + b"fffffffffffffff\r\n")
        assert (await client.answer()).status == 413
    assert TAKEN == [10, -1, -1]


async def test_what_is_said_behind_a_refused_body_is_the_next_request_and_no_part_of_it():
    """Whoever hides a request in a body that is refused has sent none."""
    hidden = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
    async with edge(SMALL, app) as there:
        client = await there.connect()
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(hidden))
        client.send(hidden)
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert [(await client.answer()).status for _ in range(2)] == [413, 200]
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(hidden) + hidden + hidden)
        assert [(await client.answer()).status for _ in range(2)] == [413, 200]
        assert there.gatekeeper.counts["*", "admitted"] == 2


async def slow(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await asyncio.sleep(0.6)
        await send({"type": "http.response.body", "body": b"b"})
        return
    if scope["path"] == "/told":
        await respond(send, 200, b"text/plain", dict(scope["headers"]).get(b"connect-timeout-ms", b"none"))
        return
    await asyncio.sleep(20)


@pytest.mark.parametrize("path", ["/slow"])
async def test_an_app_that_has_not_begun_to_answer_in_time_is_not_waited_for(path: str):
    table = GatewayTable(routes={"all": GatewayRouteTable(timeout="300ms")})
    async with edge(table, slow) as there:
        began = asyncio.get_running_loop().time()
        answer = await there.ask(path=path)
        took = asyncio.get_running_loop().time() - began
        assert answer.status == 504
        assert 0.3 <= took < 5
        assert (await there.ask(path="/begun")).body == b"ab", "what has begun goes on"
        assert (await there.ask(path="/told")).body == b"300"
        assert (await there.ask(path="/told", connect_timeout_ms="20")).body == b"20"
        assert (await there.ask(path="/told", connect_timeout_ms="20000")).body == b"300"
