"""What nginx's `limit_req` admits, the edge admits: 200 a second, a burst of 100, delayed, the rest answered 503."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.transports.http.server.http_server import HttpServer
from tests.unit.gateway.policy.asked import limits
from tests.unit.gateway.policy.test_gatekeeper import app

RATE, BURST = 200, 100
HEAD = b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("number", [100, 600, 2000])
async def test_of_many_at_once_those_are_served_that_the_burst_and_the_rate_allow(number: int):
    loop = asyncio.get_running_loop()
    arrivals: list[float] = []

    def now() -> float:
        arrivals.append(loop.time())
        return arrivals[-1]

    table = RateLimitTable(f"{RATE}/s", burst=BURST, delay=True, status=503)
    gatekeeper = Gatekeeper(limits(visitors=table), now)
    server = HttpServer({}, app, policy=gatekeeper)
    await server.start("tcp://127.0.0.1:0", public=True)
    port = int(server.addresses[0].rpartition(":")[2])
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(number)]
    arrivals.clear()
    for _, writer in clients:
        writer.write(HEAD)
    answers = await asyncio.gather(*(reader.read() for reader, _ in clients))
    for _, writer in clients:
        writer.close()
    await server.stop()

    statuses = Counter(int(each[9:12]) for each in answers)
    allowed = min(number, 1 + BURST + RATE * (arrivals[-1] - arrivals[0]))
    assert statuses[200] == pytest.approx(allowed, rel=0.05)
    assert statuses[200] + statuses[503] == number
    if number == BURST:
        assert statuses == {200: number}
