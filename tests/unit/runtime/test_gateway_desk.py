"""Operators see what became of requests at the gateway, in all replicas together, and lift bans in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meristem.errors import CallError
from meristem.gateway.policy.firewall_table import BanTable, FirewallRule, FirewallTable
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable
from meristem.gateway.policy.policy_in_force import PolicyInForce
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.operators.asking import Answers
from meristem.operators.system_gateway import SystemGateway
from meristem.runtime.gateway_desk import GatewayDesk
from meristem.telemetry.metrics import Registry
from tests.unit.gateway.policy.asked import request, statuses

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

ONE, OTHER = "192.0.2.1", "192.0.2.2"
IDLE = GatewayRouteTable("/i")
TABLE = GatewayTable(
    {"visitors": RateLimitTable("1/h", burst=1), "new": RateLimitTable("1/h", dry_run=True)},
    {
        "shop": GatewayRouteTable("/shop/*", limits=("visitors", "new"), concurrency=("few",)),
        "idle": GatewayRouteTable("/i"),
    },
    concurrency={"few": ConcurrencyTable(4)},
    firewall=FirewallTable((FirewallRule("deny", paths=("/wp/*",)),), ("10.0.0.0/8",), BanTable(violations=3)),
)


class Edges:
    """Replicas that are asked in this process; the last one is silent."""

    def __init__(self, *tables: GatewayTable | None) -> None:
        self.registry = Registry()
        self.desks = [GatewayDesk(self.registry) for _ in tables]
        self.keepers = [None if each is None else Gatekeeper(each, lambda: 100.0) for each in tables]
        for desk, keeper in zip(self.desks, self.keepers, strict=True):
            desk.policy = None if keeper is None else PolicyInForce(keeper)

    async def each_replica(self, operation: Operation, asked: Any) -> Answers:
        arguments = {name: getattr(asked, name) for name in asked.__struct_fields__}
        return Answers([await getattr(each, operation.name)(**arguments) for each in self.desks], ["edge/2"])


async def test_all_replicas_of_the_edge_are_one():
    edges = Edges(TABLE, TABLE, None)
    one, other, _ = edges.keepers
    assert one is not None
    assert other is not None
    await statuses(one, *[request(ONE, "/shop/x", query=b"token=secret")] * 3)
    await statuses(other, request(ONE, "/shop/x"), request(OTHER, "/shop/x"), request(OTHER, "/wp/x"))
    view = await SystemGateway(edges).overview()  # type: ignore[arg-type]
    assert view.is_there
    assert view.silent == ["edge/2"]
    assert [(each.name, each.admitted, each.refused, each.would_refuse) for each in view.routes] == [
        ("shop", 4, {"visitors": 1}, {"new": 1}),
        ("idle", 0, {}, {}),
        ("*", 0, {"rule-1": 1}, {}),
    ]
    visitors, new = view.limits
    assert (visitors.name, visitors.rate, visitors.burst, visitors.by, visitors.keys) == (
        "visitors",
        "1/h",
        1,
        ["address"],
        3,
    )
    assert [(each.key, each.share) for each in visitors.fullest] == [(ONE, 1.0), (OTHER, 0.5)]
    assert new.dry_run
    assert [(each.name, each.inside, each.keys) for each in view.concurrency] == [("few", 4, 3)]
    told = {each.by: (each.client, each.route, each.status, each.path, each.dry_run) for each in view.latest}
    assert told == {
        "visitors": (ONE, "shop", 429, "/shop/x", False),
        "new": (ONE, "shop", 0, "/shop/x", True),
        "rule-1": (OTHER, "*", 403, "/wp/x", False),
    }
    assert "secret" not in str(view)


async def test_an_address_is_banned_and_let_in_again_in_every_replica():
    edges = Edges(TABLE, TABLE)
    system = SystemGateway(edges)  # type: ignore[arg-type]
    assert (await system.ban("2001:db8::7", 60.0, "by hand")).replicas == 2
    for keeper in edges.keepers:
        assert keeper is not None
        assert await statuses(keeper, request("2001:db8::ffff")) == [403]
    assert [(each.address, each.why) for each in (await system.overview()).bans] == [("2001:db8::", "by hand")]
    assert (await system.unban("2001:db8::1")).replicas == 2
    assert (await system.unban("2001:db8::1")).replicas == 0
    assert not (await system.overview()).bans
    for address, seconds, why in (
        ("x", 1.0, "is no address"),
        (ONE, 0.0, "at most 30 days"),
        ("10.1.1.1", 1.0, "trusted"),
    ):
        with pytest.raises(CallError, match=why):
            await system.ban(address, seconds, "")


async def test_the_figures_of_the_process_have_the_gateway():
    edges = Edges(TABLE)
    keeper = edges.keepers[0]
    assert keeper is not None
    await statuses(keeper, *[request(ONE, "/shop/x")] * 3)
    found = {each.name: dict(each.read()) for each in edges.registry.measures()}
    assert found["meristem_gateway_requests_total"] == {
        ("shop", "admitted"): 2.0,
        ("shop", "visitors"): 1.0,
        ("shop", "dry_run:new"): 1.0,
    }
    assert found["meristem_gateway_limit_keys"] == {("visitors",): 1.0, ("new",): 1.0}
    assert found["meristem_gateway_in_flight"] == {("few",): 2.0}
    assert found["meristem_gateway_bans"] == {(): 0.0}


async def test_a_process_that_is_no_edge_has_nothing_to_tell():
    edges = Edges(None)
    view = await SystemGateway(edges).overview()  # type: ignore[arg-type]
    assert not view.is_there
    assert not any(each.read() for each in edges.registry.measures())
