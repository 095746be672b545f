"""Limits count by whatever the table names; several are charged together or not at all; a dry run refuses nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from meristem.context import Identity
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayRouteTable, GatewayTable
from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable
from meristem.gateway.policy.requesters import key_of
from meristem.gateway.policy.visit import Visit
from meristem.transports.http.edge_policy import Admitted, Pending
from tests.unit.gateway.policy.asked import Clock, limits, request, statuses, verdict

ONE, OTHER = "192.0.2.1", "192.0.2.2"


def visit(client: str = ONE, route: str = "shop", subject: str = "", api_key: str = "") -> Visit:
    return Visit(request(client), route, user=Identity(subject) if subject else None, api_key=api_key)


@pytest.mark.parametrize(
    ("by", "one", "other", "same"),
    [
        ("address", visit(), visit(route="else"), True),
        ("address", visit(), visit(OTHER), False),
        ("address", visit("2001:db8::1"), visit("2001:db8::ffff:2"), True),
        ("address", visit("::ffff:192.0.2.1"), visit(ONE), True),
        ("user", visit(subject="ann"), visit(OTHER, subject="ann"), True),
        ("user", visit(subject="ann"), visit(subject="bob"), False),
        ("user", visit(), visit(OTHER), False),
        ("user", visit(), visit(subject=ONE), False),
        ("tenant", visit(subject="ann"), visit(OTHER, subject="ann"), True),
        ("api_key", visit(api_key="k"), visit(OTHER, api_key="k"), True),
        ("api_key", visit(api_key="k"), visit(subject="k"), False),
        ("route", visit(), visit(OTHER), True),
        ("route", visit(), visit(route="else"), False),
        ("everybody", visit(), visit(OTHER, route="else"), True),
        (("address", "route"), visit(), visit(OTHER), False),
        (("address", "route"), visit(), visit(route="else"), False),
        (("address", "route"), visit(), visit(), True),
        (("user", "route"), visit(subject="a\x1froute b"), visit(subject="a", route="b"), False),
    ],
)
def test_who_is_counted_as_one(by: Any, one: Visit, other: Visit, same: bool):
    key = key_of(by)
    assert (key(one) == key(other)) == same


def test_a_key_has_a_bound_however_long_what_it_is_made_of():
    assert len(key_of("user")(visit(subject="x" * 100_000))) <= 128


async def test_a_limit_that_refuses_costs_nothing_of_the_others():
    time = Clock()
    table = limits(wide=RateLimitTable("1/min", burst=9), narrow=RateLimitTable("1/s"))
    gatekeeper = Gatekeeper(table, time)
    assert await statuses(gatekeeper, *[request()] * 6) == [200, 429, 429, 429, 429, 429]
    time.time += 1
    last = await verdict(gatekeeper, request())
    assert isinstance(last, Admitted)
    assert [value.partition(b";pk")[0] for name, value in last.fields if name == b"ratelimit"] == [
        b'"wide";r=8;t=119',
        b'"narrow";r=0;t=1',
    ]
    assert gatekeeper.counts == {("all", "admitted"): 2, ("all", "narrow"): 5}


async def test_who_is_refused_by_two_is_told_the_longer_time():
    gatekeeper = Gatekeeper(limits(slow=RateLimitTable("1/min"), quick=RateLimitTable("1/s")), Clock())
    await verdict(gatekeeper, request())
    found = await verdict(gatekeeper, request())
    assert (b"retry-after", b"60") in found.fields
    # Section 5 of the draft: the reset is the same point in time.
    assert [value.partition(b";pk")[0] for name, value in found.fields if name == b"ratelimit"] == [
        b'"slow";r=0;t=60',
        b'"quick";r=0;t=1',
    ]


async def test_routes_share_a_limit_that_both_name():
    routes = {"a": GatewayRouteTable("/a/*", ("one",)), "b": GatewayRouteTable("/b/*", ("one",))}
    gatekeeper = Gatekeeper(GatewayTable({"one": RateLimitTable("1/min", burst=1)}, routes=routes), Clock())
    asked = [request(path=path) for path in ("/a/x", "/b/x", "/a/x")]
    assert await statuses(gatekeeper, *asked) == [200, 200, 429]


async def test_a_dry_run_refuses_nothing_and_says_what_it_would_have_done(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    gatekeeper = Gatekeeper(limits(new=RateLimitTable("1/min", dry_run=True)), Clock())
    found = await verdict(gatekeeper, request())
    assert isinstance(found, Admitted)
    assert not found.fields
    assert await statuses(gatekeeper, *[request()] * 3) == [200] * 3
    assert gatekeeper.counts == {("all", "admitted"): 4, ("all", "dry_run:new"): 3}
    told = [each.getMessage() for each in caplog.records if "dry run" in each.getMessage()]
    assert len(told) == 1
    assert "a dry run of new would have refused GET /x of 192.0.2.1 on route all" in told[0]


@pytest.mark.parametrize(("delay", "least"), [(True, [0, 0.1, 0.2, 0.3]), (2, [0, 0, 0, 0.1]), (False, [0, 0, 0, 0])])
async def test_of_a_burst_so_many_are_served_at_once_and_the_others_in_their_turn(delay: Any, least: list[float]):
    loop = asyncio.get_running_loop()
    gatekeeper = Gatekeeper(limits(one=RateLimitTable("10/s", burst=3, delay=delay)), Clock())
    began = loop.time()

    async def served() -> float:
        assert isinstance(await verdict(gatekeeper, request()), Admitted)
        return loop.time() - began

    took = await asyncio.gather(*(served() for _ in range(4)))
    assert all(wait <= found for wait, found in zip(least, took, strict=True))
    assert max(found - wait for wait, found in zip(least, took, strict=True)) < 1.0
    assert gatekeeper.limits.rates["one"].waiting == 0


async def test_so_many_wait_and_no_more_and_who_leaves_makes_room():
    table = RateLimitTable("1/s", burst=50, delay=True, waiting=2)
    gatekeeper = Gatekeeper(limits(one=table), Clock())
    assert await statuses(gatekeeper, request()) == [200]
    waiting = [asyncio.ensure_future(verdict(gatekeeper, request())) for _ in range(2)]
    await asyncio.sleep(0)
    found = await verdict(gatekeeper, request())
    assert found.status == 429
    assert b"as many requests wait" in found.body
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert gatekeeper.limits.rates["one"].waiting == 0


async def test_requests_in_flight_are_bounded_and_a_refusal_gives_back_what_rate_limits_took():
    table = GatewayTable(
        {"rate": RateLimitTable("1/min", burst=9)},
        concurrency={"few": ConcurrencyTable(2)},
        routes={"all": GatewayRouteTable(limits=("rate",), concurrency=("few",))},
    )
    gatekeeper = Gatekeeper(table, Clock())
    inside = [await verdict(gatekeeper, request()) for _ in range(2)]
    assert await statuses(gatekeeper, *[request()] * 20, request(OTHER)) == [*[429] * 20, 200]
    inside[0].left()
    assert await statuses(gatekeeper, request()) == [200]
    left = gatekeeper.limits.rates["rate"].buckets.look(ONE, 100.0).left
    assert left == 10 - 3 - 1
    inside[1].left()
    assert gatekeeper.limits.concurrency["few"].inside == {ONE: 1, OTHER: 1}


async def test_who_leaves_before_a_delay_has_begun_gives_its_place_back():
    """A task that is cancelled before its first step runs nothing, so who has it begun tells of it."""
    table = GatewayTable(
        {"rate": RateLimitTable("1/min", burst=9, delay=True)},
        concurrency={"few": ConcurrencyTable(2)},
        routes={"all": GatewayRouteTable(limits=("rate",), concurrency=("few",))},
    )
    gatekeeper = Gatekeeper(table, Clock())
    await verdict(gatekeeper, request())
    pending = gatekeeper.check(request())
    assert isinstance(pending, Pending)
    waiting = asyncio.create_task(pending.verdict)
    waiting.cancel()
    pending.left()
    await asyncio.gather(waiting, return_exceptions=True)
    assert gatekeeper.limits.concurrency["few"].inside == {ONE: 1}


async def test_a_new_table_goes_on_with_the_limits_that_it_has_not_changed():
    time = Clock()
    before = Gatekeeper(limits(same=RateLimitTable("1/min"), other=RateLimitTable("1/min")), time)
    await verdict(before, request())
    after = Gatekeeper(limits(same=RateLimitTable("1/min")), time, before=before)
    assert await statuses(after, request()) == [429]
    changed = Gatekeeper(limits(same=RateLimitTable("2/min")), time, before=after)
    assert await statuses(changed, request()) == [200]
