"""What is let in on a route is counted by what it was answered with and how long that took, whoever answers it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from msgspec.structs import replace
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request as Handshake

from meristem import App
from meristem.asgi import respond
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.route_answers import RouteAnswers
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.telemetry.metrics import quantile
from tests.unit.gateway.policy.edge_server import edge

from .conftest import PATIENCE

WAITING = asyncio.Event()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["type"] != "http":
        return
    if scope["path"].endswith("/stream"):
        await send({"type": "http.response.start", "status": 206, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await asyncio.sleep(0.4)
        await send({"type": "http.response.body", "body": b"b"})
        return
    if scope["path"].endswith("/never"):
        WAITING.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await respond(send, 404 if scope["path"].endswith("/gone") else 200, b"text/plain", b"ok")


TABLE = GatewayTable(
    {"few": RateLimitTable("1/h", burst=1)},
    {
        "shop": GatewayRouteTable("/shop/*"),
        "few": GatewayRouteTable("/few", limits=("few",)),
        "slow": GatewayRouteTable("/slow/*", timeout="0.2s"),
        "old": GatewayRouteTable("/old", redirect="https://shop.example"),
    },
)


async def counted(answers: RouteAnswers, number: int) -> dict[int, int]:
    async with asyncio.timeout(PATIENCE):
        while sum(answers.statuses.values()) < number:
            await asyncio.sleep(0.01)
    return answers.statuses


async def test_each_route_has_the_statuses_that_its_clients_got():
    async with edge(TABLE, app) as there:
        answers = there.gatekeeper.refusals.answers
        client = await there.connect()
        for path in ("/shop/a", "/shop/a", "/shop/gone", "/few", "/few", "/few", "/old", "/slow/never"):
            await client.ask(path=path)
        assert answers["shop"].statuses == {200: 2, 404: 1}
        assert answers["few"].statuses == {200: 2}, "what is refused was not let in"
        assert answers["slow"].statuses == {504: 1}, "one answer, and not that of the app that has to end as well"
        assert answers["old"].statuses == {}
        assert there.gatekeeper.counts["old", "answered:redirect"] == 1
        assert [each.by for each in there.gatekeeper.refusals.latest] == ["few"]
    async with edge(replace(TABLE, routes={"all": GatewayRouteTable()}), None) as there:
        await there.ask()
        assert there.gatekeeper.refusals.answers["all"].statuses == {404: 1}, "the framework's own answers, too"


async def test_of_a_stream_its_beginning_counts_and_of_a_websocket_its_opening():
    async with edge(TABLE, app) as there:
        answers = there.gatekeeper.refusals.answers["shop"]
        await there.ask(path="/shop/stream")
        assert answers.statuses == {206: 1}
        assert 0 < answers.seconds < 0.3
        assert sum(answers.buckets) == 1
        assert 0 < quantile(answers.buckets, 0.5) < 0.4
        client = await there.connect()
        client.send(WSConnection(ConnectionType.CLIENT).send(Handshake("shop.example", "/shop/socket")))
        assert b"101" in await client.head()
        assert answers.statuses == {206: 1, 101: 1}


async def test_a_client_that_leaves_before_its_answer_is_counted_as_one():
    async with edge(TABLE, app) as there:
        client = await there.connect()
        client.send(b"GET /shop/never HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await WAITING.wait()
        await client.close()
        assert await counted(there.gatekeeper.refusals.answers["shop"], 1) == {499: 1}
        client = await there.connect()
        await client.ask(path="/shop/a")
        await client.close()
        await asyncio.sleep(0.05)
        assert there.gatekeeper.refusals.answers["shop"].statuses == {499: 1, 200: 1}, (
            "one that has had its answer is none"
        )


async def test_what_lives_in_another_process_is_counted_at_the_edge_and_its_line_has_the_route(
    divided, caplog: pytest.LogCaptureFixture
):
    table = GatewayTable(routes={"shop": GatewayRouteTable("/shop/*"), "gone": GatewayRouteTable("/shop/gone")})
    with caplog.at_level(logging.INFO, "meristem.access"):
        async with divided(App("site", app, mount="/shop"), gateway=table) as system:
            keeper = system.edge.assembly.desks.gateway.gatekeeper
            forged = {"Meristem-Route": "forged", "Meristem_Route": "forged"}
            for path in ("/shop/a", "/shop/a", "/shop/gone", "/else"):
                await system.browser.get(path, headers=forged)
            answers = keeper.refusals.answers
            assert {name: answers[name].statuses for name in ("shop", "gone", "*")} == {
                "shop": {200: 2}, "gone": {404: 1}, "*": {404: 1}
            }  # fmt: skip
            assert sum(answers["shop"].buckets) == 2
    lines = [
        (each.getMessage(), getattr(each, "route", None)) for each in caplog.records if each.name == "meristem.access"
    ]
    assert lines == [
        ("GET /shop/a 200", "shop"), ("GET /shop/a 200", "shop"), ("GET /shop/gone 404", "gone"), ("GET /else 404", "*")
    ]  # fmt: skip
