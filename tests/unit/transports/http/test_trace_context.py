"""A trace goes on over every way into the server as W3C Trace Context, section 3, asks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meristem.context import Context, Trace
from meristem.contracts.call import Call
from tests.suites.trace_context import CASES, PARENT, SPAN, TRACE
from tests.suites.ways_in import WAYS, request


@pytest.mark.parametrize("way", WAYS)
async def test_every_case_of_the_recommendation_holds(wire, way):
    server = await wire.server()
    path = server.addresses[0].removeprefix("unix:")
    wrong = []
    for name, case in CASES.items():
        wire.handlers.used.clear()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request(way, *case.lines))
        status = await wire.within(reader.readline())
        assert status.split()[1][:1] == b"2", (name, status)
        await wire.within(wire.handlers.used.wait())
        writer.close()
        trace = wire.handlers.contexts[-1].trace
        found = None if trace is None else (trace.trace_id, trace.span_id, trace.state)
        if found != ((TRACE, SPAN, case.state) if case.goes_on else None):
            wrong.append((name, found))
    assert not wrong


async def test_our_client_sends_on_what_came_in(wire):
    _, client = await wire.pair()
    for case in CASES.values():
        if case.lines[:1] == [PARENT]:
            trace = Trace(TRACE, SPAN, sampled=True, state=case.state)
            await client.call(wire.call("describe", Context(trace=trace)))
            assert wire.handlers.contexts[-1].trace == Trace(TRACE, SPAN, True, case.state, foreign=True)


async def test_a_stream_of_our_client_sends_on_what_came_in(wire):
    _, client = await wire.pair()
    count: Any = wire.operations["count"]
    trace = Trace(TRACE, SPAN, sampled=True, state="foo=1,bar=2")
    replies = await client.call(Call(count, count.request(until=2), Context(trace=trace)))
    assert [reply async for reply in replies] == [0, 1]
    assert wire.handlers.contexts[-1].trace == Trace(TRACE, SPAN, True, "foo=1,bar=2", foreign=True)


async def test_a_hosted_app_sees_the_lines_as_they_came(wire):
    seen: list[tuple[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(each for each in scope["headers"] if each[0].startswith(b"trace"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    server = await wire.server(app=app)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    lines = [PARENT, ("tracestate", "foo=1"), ("tracestate", "bar=2")]
    head = ["GET / HTTP/1.1", "host: localhost", *(f"{name}: {value}" for name, value in lines), "", ""]
    writer.write("\r\n".join(head).encode())
    await wire.within(reader.readuntil(b"\r\n\r\n"))
    writer.close()
    assert seen == [(name.encode(), value.encode()) for name, value in lines]
