"""Another table takes the place of the one in force between two requests: none fails, and limits go on."""

from __future__ import annotations

import asyncio
from collections import Counter

from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.header_table import AnswerHeaderTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.policy_in_force import PolicyInForce
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.transports.http.server.http_server import HttpServer
from tests.unit.gateway.policy.edge_server import EdgeClient
from tests.unit.gateway.policy.test_routes import other

RATE = RateLimitTable("1/d", burst=4)


def table(number: int, **limits: RateLimitTable) -> GatewayTable:
    routes = {"few": GatewayRouteTable("/few", limits=tuple(limits)), "all": GatewayRouteTable()}
    return GatewayTable(limits, routes, headers=AnswerHeaderTable(set={"x-table": str(number)}))


async def connected(server: HttpServer) -> EdgeClient:
    return EdgeClient(*await asyncio.open_connection("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))


async def test_no_request_fails_while_tables_change():
    policy = PolicyInForce(Gatekeeper(table(0)))
    server = HttpServer({}, other, policy=policy)
    await server.start("tcp://127.0.0.1:0", public=True)
    statuses: Counter[int] = Counter()
    seen: set[str] = set()
    done = asyncio.Event()

    async def load() -> None:
        client = await connected(server)
        while not done.is_set():
            answer = await client.ask(path="/x")
            statuses[answer.status] += 1
            seen.add(answer.fields["x-table"])
        await client.close()

    loads = [asyncio.create_task(load()) for _ in range(8)]
    for number in range(1, 51):
        policy.gatekeeper = Gatekeeper(table(number), before=policy.gatekeeper)
        await asyncio.sleep(0.01)
    done.set()
    await asyncio.gather(*loads)
    await server.stop()
    assert set(statuses) == {200}
    assert len(seen) > 10
    assert policy.gatekeeper.counts["all", "admitted"] == statuses[200]


async def test_a_limit_whose_numbers_stay_goes_on_and_another_begins_anew():
    policy = PolicyInForce(Gatekeeper(table(0, each=RATE)))
    server = HttpServer({}, other, policy=policy)
    await server.start("tcp://127.0.0.1:0", public=True)
    client = await connected(server)

    async def ask(times: int) -> list[int]:
        return [(await client.ask(path="/few")).status for _ in range(times)]

    assert await ask(3) == [200] * 3
    policy.gatekeeper = Gatekeeper(table(1, each=RATE), before=policy.gatekeeper)
    assert await ask(3) == [200, 200, 429]
    policy.gatekeeper = Gatekeeper(table(2, each=RateLimitTable("1/d", burst=1)), before=policy.gatekeeper)
    assert await ask(3) == [200, 200, 429]
    await client.close()
    await server.stop()
