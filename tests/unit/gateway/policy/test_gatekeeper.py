"""A policy before a server: limits refuse or delay, each answer tells how it stands, and what waits is not lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from meristem.asgi import respond
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayRouteTable, GatewayTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.rate_limit import partition
from meristem.transports.http.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await respond(send, 200, b"text/plain", body or b"here")


def limited(**limit: Any) -> GatewayTable:
    return GatewayTable({"each": RateLimitTable(**limit)}, {"all": GatewayRouteTable(limits=("each",))})


class Serving:
    def __init__(self, gatekeeper: Gatekeeper, client: httpx.AsyncClient, address: tuple[str, int]) -> None:
        self.gatekeeper = gatekeeper
        self.client = client
        self.address = address


@asynccontextmanager
async def serving(table: GatewayTable, now: Any = None) -> AsyncIterator[Serving]:
    gatekeeper = Gatekeeper(table) if now is None else Gatekeeper(table, now)
    server = HttpServer({}, app, policy=gatekeeper)
    await server.start("tcp://127.0.0.1:0", public=True)
    base = server.addresses[0].replace("tcp", "http")
    host, _, port = base.removeprefix("http://").partition(":")
    async with httpx.AsyncClient(base_url=base, timeout=30, limits=httpx.Limits(max_connections=400)) as client:
        yield Serving(gatekeeper, client, (host, int(port)))
    await server.stop()


async def test_what_is_beyond_the_burst_is_refused_and_told_when_to_come_again():
    time = 100.0
    async with serving(limited(rate="10/s", burst=2), lambda: time) as there:
        answers = [await there.client.get("/x") for _ in range(5)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
        part = f";pk=:{partition('127.0.0.1').decode()}:"
        assert answers[0].headers["ratelimit-policy"] == f'"each";q=3;w=1{part}'
        assert answers[0].headers["ratelimit"] == f'"each";r=2;t=1{part}'
        assert answers[3].headers["ratelimit"].startswith('"each";r=0;t=1;')
        assert answers[3].headers["retry-after"] == "1"
        assert answers[3].headers["content-type"] == "application/problem+json"
        assert "'each' allows no more requests" in answers[3].json()["detail"]
        time += 0.2
        again = [(await there.client.get("/x")).status_code for _ in range(3)]
        assert again == [200, 200, 429]
        assert there.gatekeeper.counts == {("all", "admitted"): 5, ("all", "each"): 3}


async def test_each_path_has_its_route_and_what_none_fits_is_let_in():
    routes = {
        "api": GatewayRouteTable("/api/*", ("few",)),
        "open": GatewayRouteTable("/api/open"),
    }
    table = GatewayTable({"few": RateLimitTable("1/min")}, routes)
    async with serving(table) as there:
        found = {
            path: [(await there.client.get(path)).status_code for _ in range(2)]
            for path in ("/api/open", "/api/x", "/elsewhere")
        }
    assert found == {"/api/open": [200, 200], "/api/x": [200, 429], "/elsewhere": [200, 200]}


async def test_with_delay_all_of_a_burst_is_served_at_the_rate_and_a_body_waits_with_its_request():
    async with serving(limited(rate="200/s", burst=100, delay=True, status=503)) as there:
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(there.client.post("/x", content=b"%d" % n) for n in range(100)))
        took = asyncio.get_running_loop().time() - began
    assert Counter(each.status_code for each in answers) == {200: 100}
    assert sorted(int(each.text) for each in answers) == list(range(100))
    assert took >= 99 / 200 * 0.95


@pytest.mark.parametrize("number", [150, 300])
async def test_of_more_at_once_than_the_burst_the_rest_is_refused_with_the_status_asked_for(number: int):
    """Admitted are 101 and what the rate gives while they arrive, as nginx counts: of a bucket that fills by time."""
    times: list[float] = []
    loop = asyncio.get_running_loop()

    def now() -> float:
        times.append(loop.time())
        return times[-1]

    async with serving(limited(rate="200/s", burst=100, delay=True, status=503), now) as there:
        answers = await asyncio.gather(*(there.client.get("/x") for _ in range(number)))
    counts = Counter(each.status_code for each in answers)
    level, last, expected = 101.0, times[0], 0
    for each in times:  # a busy machine has them arrive with gaps, in which the bucket is full
        level, last = min(101.0, level + 200 * (each - last)), each
        if level >= 1:
            level, expected = level - 1, expected + 1
    assert counts[200] + counts[503] == len(times) == number
    assert counts[200] == pytest.approx(expected, abs=1)


async def test_who_leaves_while_waiting_is_not_served_and_the_server_goes_on():
    async with serving(limited(rate="1/s", burst=5, delay=True)) as there:
        assert (await there.client.get("/x")).status_code == 200
        _, writer = await asyncio.open_connection(*there.address)
        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.close()
        assert (await there.client.get("/x")).status_code == 200
        assert there.gatekeeper.counts == {("all", "admitted"): 2}


async def test_a_policy_that_fails_lets_nobody_in(caplog: pytest.LogCaptureFixture):
    def broken() -> float:
        raise ZeroDivisionError("no time")

    async with serving(limited(rate="1/s"), broken) as there:
        answer = await there.client.get("/x")
    assert answer.status_code == 500
    assert "nothing was done" in answer.json()["detail"]
    assert "the policy failed at /x" in caplog.text
