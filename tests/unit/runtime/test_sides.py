"""What a process answers to the public, and what to its own system."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import flask
import httpx
import pytest

from meristem import App, Contract, Service, System, safe
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.probes import PublicProbe
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE
from meristem.transports.http.request import Request
from meristem.transports.http.responses import Response
from meristem.transports.http.rest.docs import ASSETS

PATIENCE = 30
PAGES = ("/api/openapi.json", *(f"/api{page}" for page in ASSETS))
OURS_ELSEWHERE = (
    *("/", "/api", "/api/", "/api/nothing", "/api/stock", "/docs", "/openapi.json", "/favicon.ico"),
    *("/health/", "/health/live", "/health/ready", "/health/x", "/healthz", "/livez", "/readyz"),
    *("/metrics", "/metrics/x", "/operator", "/dashboard", "/meristem", "/tests.v1.Stock", "/tests.v1.Stock/Nothing"),
)
"""Paths at which something of the framework is, was or might be, and is not for the public."""


class Stock(Contract, Protocol, package="tests.v1"):
    @safe(http="GET /stock/{item}", timeout=60.0)
    async def left(self, item: str) -> int: ...

    @safe(timeout=60.0)
    async def secret(self) -> str: ...


class StockService(Stock, Service):
    async def left(self, item: str) -> int:
        return len(item)

    async def secret(self) -> str:
        return "inside"


class Sides(NamedTuple):
    public: httpx.AsyncClient
    internal: httpx.AsyncClient
    process: Process


@pytest.fixture
def both(tmp_path: Path):
    """`async with both(system) as sides:` serves a system at a public and at an internal address."""

    @asynccontextmanager
    async def serve(system: System, *, api_page: bool = False) -> AsyncIterator[Sides]:
        options = Options(environment={}, database="sqlite://", directory=tmp_path)
        listen = [Listen("tcp://127.0.0.1:0", public=False), Listen("tcp://127.0.0.1:0", public=True)]
        tokens = Tokens(new_secret())
        process = Process(Blueprint(system), ALONE, options=options, listen=listen, tokens=tokens, api_page=api_page)
        try:
            await process.start()
            bases = [each.replace("tcp://", "http://") for each in process.addresses]
            async with (
                httpx.AsyncClient(base_url=bases[1], timeout=PATIENCE) as public,
                httpx.AsyncClient(base_url=bases[0], timeout=PATIENCE) as internal,
            ):
                yield Sides(public, internal, process)
            await process.drain()
        finally:
            await process.stop()

    return serve


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An app that has every path."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"app {scope['method']} {scope['path']}".encode()})


def shop(*apps: App) -> System:
    return System("shop", services=[StockService], apps=apps)


async def test_an_app_at_the_root_has_every_path_but_those_of_rest_rpc_and_the_bare_health(both):
    async with both(shop(App("web", echo))) as sides:
        for path in (*OURS_ELSEWHERE, *PAGES):
            assert (await sides.public.get(path)).text == f"app GET {path}"
            assert (await sides.public.post(path)).text == f"app POST {path}"

        bare = await sides.public.get("/health")
        rest = await sides.public.get("/api/stock/lamp")
        rpc = await sides.public.post("/tests.v1.Stock/Left", json={"item": "lamp"})

    assert (bare.status_code, bare.json()) == (200, {"status": "ready"})
    assert (rest.json(), rpc.json()) == (4, {"result": 4})


async def test_without_an_app_the_public_finds_nothing_there(both):
    async with both(shop()) as sides:
        for path in (*OURS_ELSEWHERE, *PAGES):
            assert (await sides.public.get(path)).status_code == 404, path


async def test_the_api_page_is_there_when_it_is_switched_on(both):
    async with both(shop(App("web", echo)), api_page=True) as sides:
        for path in PAGES:
            assert (await sides.public.get(path)).headers["content-type"].split(";")[0] != "text/plain", path
        for path in OURS_ELSEWHERE:
            assert (await sides.public.get(path)).text == f"app GET {path}"


async def test_a_path_that_rest_knows_is_its_own_with_every_verb(both):
    async with both(shop(App("web", echo))) as sides:
        refused = await sides.public.post("/api/stock/lamp")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_an_app_below_the_prefix_of_rest_has_what_rest_does_not_know(both):
    async with both(shop(App("old", echo, mount="/api"))) as sides:
        assert (await sides.public.get("/api/stock/lamp")).json() == 4
        assert (await sides.public.get("/api/basket")).text == "app GET /api/basket"
        assert (await sides.public.get("/basket")).status_code == 404


async def test_a_flask_app_keeps_its_own_metrics_health_and_api(both):
    site = flask.Flask(__name__)

    @site.get("/metrics")
    def metrics() -> str:
        return "its own"

    @site.get("/health/live")
    def live() -> str:
        return "alive"

    @site.get("/api/x")
    def api() -> dict[str, int]:
        return {"x": 1}

    async with both(shop(App("web", site))) as sides:
        assert (await sides.public.get("/metrics")).text == "its own"
        assert (await sides.public.get("/health/live")).text == "alive"
        assert (await sides.public.get("/api/x")).json() == {"x": 1}
        assert (await sides.public.get("/api/stock/lamp")).json() == 4


async def test_a_websocket_below_the_prefix_is_the_apps(both):
    async with both(shop(App("web", echo))) as sides:
        assert await _upgraded(sides.public.base_url, "/api/live") == 101


async def test_a_websocket_that_no_app_takes_is_refused(both):
    async with both(shop()) as sides:
        for base in (sides.public.base_url, sides.internal.base_url):
            assert await _upgraded(base, "/api/stock/lamp") == 403


async def _upgraded(base: httpx.URL, path: str) -> int:
    """The status with which a WebSocket is answered."""
    reader, writer = await asyncio.open_connection(base.host, base.port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    writer.write(f"{head}sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return int(line.split()[1])


async def test_the_system_itself_gets_calls_and_probes_and_nothing_else(both):
    async with both(shop(App("web", echo)), api_page=True) as sides:
        internal = sides.internal
        assert (await internal.get("/health/live")).json() == {"status": "live"}
        assert (await internal.get("/health/ready")).json() == {"status": "ready"}
        assert (await internal.get("/health")).json() == {"status": "ready"}
        assert (await internal.post("/tests.v1.Stock/Left", json={"item": "lamp"})).json() == {"result": 4}
        figures = await internal.get("/metrics")
        for path in ("/", "/api/stock/lamp", "/api/docs", "/metrics/x", "/health/x"):
            assert (await internal.get(path)).status_code == 404
        assert (await internal.post("/metrics")).status_code == 405

    assert figures.headers["content-type"].startswith("text/plain")
    assert 'operation="Stock.left"' in figures.text


async def test_who_has_no_token_is_refused_at_every_address(both):
    async with both(shop()) as sides:
        for side in (sides.public, sides.internal):
            refused = await side.post("/tests.v1.Stock/Secret", json={})
            assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("state", ["starting", "draining", "stopped"])
def test_the_bare_health_is_503_without_detail_unless_the_process_is_ready(state):
    probe = PublicProbe(lambda: state)

    def asked(method: str, path: bytes = b"/health") -> Response | None:
        return probe.find(Request(method, path, b"", "1.1", [], {}))

    answer, wrong = asked("GET"), asked("POST")

    assert answer is not None
    assert (answer.status, answer.body) == (503, b'{"status":"not ready"}')
    assert asked("HEAD") == answer
    assert wrong is not None
    assert (wrong.status, wrong.fields) == (405, [(b"allow", b"GET, HEAD")])
    assert asked("GET", b"/health/live") is None


async def test_a_process_is_starting_then_ready_then_draining_then_stopped(both):
    async with both(shop()) as sides:
        states = [sides.process.state]
        await sides.process.drain()
        states.append(sides.process.state)
    assert [*states, sides.process.state] == ["ready", "draining", "stopped"]
