"""Operators see what became of requests at the gateway, in all replicas together, and lift bans in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meristem.errors import CallError
from meristem.gateway.certificate_view import CertificateView
from meristem.gateway.policy.firewall_table import BanTable, FirewallRule, FirewallTable, HeaderCondition
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable
from meristem.gateway.policy.policy_in_force import PolicyInForce
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.operators.asking import Answers
from meristem.operators.gateway_contract import MOST_BANS
from meristem.operators.system_gateway import SystemGateway
from meristem.runtime.gateway_desk import GatewayDesk
from meristem.telemetry.exposition import exposition
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


async def test_answers_are_told_of_all_replicas_and_at_metrics():
    edges = Edges(TABLE, TABLE)
    for keeper in edges.keepers:
        assert keeper is not None
        await statuses(keeper, request(ONE, "/shop/x"))
        keeper.refusals.answers["shop"].record(0.03, 200)
        keeper.refusals.answers["shop"].record(7.0, 502)
    shop = (await SystemGateway(edges).overview()).routes[0]  # type: ignore[arg-type]
    assert shop.statuses == {"200": 2, "502": 2}
    assert sum(shop.durations) == 4
    assert [each.admitted for each in edges.desks[0].counts()] == [1], "a route without requests has nothing to count"
    body, _ = exposition(edges.registry)
    lines = body.decode().splitlines()
    assert 'meristem_gateway_answers_total{route="shop",status="502"} 1.0' in lines
    assert 'meristem_gateway_request_duration_seconds_bucket{le="0.05",route="shop"} 1.0' in lines
    assert 'meristem_gateway_request_duration_seconds_sum{route="shop"} 7.03' in lines


async def test_rules_are_told_by_what_they_look_at():
    rules = (
        FirewallRule("allow", name="office", addresses=("198.51.100.7",), paths=("/admin/*", "/x")),
        FirewallRule("deny", methods=("TRACE",), headers=(HeaderCondition("user-agent", matches="*bot*"),), status=444),
        FirewallRule("deny", body_above="10 MB", addresses=tuple(f"10.0.0.{each}" for each in range(9)), dry_run=True),
        FirewallRule("deny", headers=(HeaderCondition("x-a", present=False), HeaderCondition("x-b", equals="1"))),
    )
    view = await SystemGateway(Edges(GatewayTable(firewall=FirewallTable(rules)))).overview()  # type: ignore[arg-type]
    assert [(each.name, each.action, each.when, each.status, each.dry_run) for each in view.rules] == [
        ("office", "allow", ["from 198.51.100.7", "at /admin/*, /x"], 403, False),
        ("rule-2", "deny", ["TRACE", "header user-agent is *bot*"], 444, False),
        ("rule-3", "deny", ["from 10.0.0.0, 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 4 others", "body above 10 MB"],
         403, True),
        ("rule-4", "deny", ["header x-a is missing", "header x-b is 1"], 403, False),
    ]  # fmt: skip


async def test_of_very_many_bans_the_latest_are_told_and_how_many_there_are():
    edges = Edges(TABLE, TABLE)
    keeper = edges.keepers[0]
    assert keeper is not None
    assert keeper.bans is not None
    for each in range(MOST_BANS + 5):
        keeper.bans.ban(f"192.0.{each // 256}.{each % 256}", "by hand")
    view = await SystemGateway(edges).overview()  # type: ignore[arg-type]
    assert (len(view.bans), view.banned) == (MOST_BANS, MOST_BANS + 5)
    assert view.bans[0].address == f"192.0.{(MOST_BANS + 4) // 256}.{(MOST_BANS + 4) % 256}"


async def test_a_process_that_is_no_edge_has_nothing_to_tell():
    edges = Edges(None)
    view = await SystemGateway(edges).overview()  # type: ignore[arg-type]
    assert not view.is_there
    assert not any(each.read() for each in edges.registry.measures())


async def test_of_the_certificates_the_one_that_ends_first_is_told():
    edges = Edges(TABLE, TABLE, TABLE)
    views = [CertificateView(source="a.pem", hosts=["shop.example"], until=until) for until in (300.0, 200.0)]
    edges.desks[0].certificate, edges.desks[1].certificate = lambda: views[0], lambda: views[1]
    view = await SystemGateway(edges).overview()  # type: ignore[arg-type]
    assert view.certificate == views[1]

    failing = CertificateView(source="https://ca.example", hosts=["shop.example"], failures=2, failure="away")
    edges.desks[1].certificate = lambda: failing
    view = await SystemGateway(edges).overview()  # type: ignore[arg-type]
    assert view.certificate == failing, "one that there is not yet ends before all"
    figures = {each.name: each.read() for each in one_desk(failing).measures() if "certificate" in each.name}
    assert figures == {
        "meristem_gateway_certificate_expires_timestamp_seconds": {},
        "meristem_gateway_certificate_failures": {(): 2.0},
    }


def one_desk(view: CertificateView) -> Registry:
    """The figures of a process with that certificate."""
    registry = Registry()
    GatewayDesk(registry).certificate = lambda: view
    return registry
