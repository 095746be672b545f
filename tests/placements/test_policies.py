"""A placement overrides the timeout and the retries of single operations, wherever their service runs."""

import asyncio

import pytest
from systems.governed import Bank, Desk, Shop

from meristem import CallError, Code
from meristem.resilience.limiter import LimiterPolicy
from meristem.resilience.policies import OperationPolicy, Policies
from meristem.resilience.retry import BudgetPolicy
from meristem.system.placement import Placement
from meristem.testing.elsewhere import samples

SYSTEM = "systems.governed:system"
BANK = Policies(
    operations={
        "hang": OperationPolicy(timeout=0.3),
        "left": OperationPolicy(timeout=60.0),
        "drip": OperationPolicy(timeout=0.4),
    }
)
DESK = Policies(
    operations={"work": OperationPolicy(attempts=5)},
    limiter=LimiterPolicy(initial=1, minimum=1, maximum=1, queue=0),
    budget=BudgetPolicy(per_second=1000.0, burst=1000.0),
)
PROCESSES = {"shop": ("shop",), "bank": ("bank",), "desk": ("desk",)}
OPTIONS = {"placement": Placement(processes=PROCESSES, policies={"bank": BANK, "desk": DESK})}
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_shorter_timeout_ends_the_call(app):
    with pytest.raises(CallError) as caught:
        await app.client(Bank).hang()

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "Bank.hang did not answer within its timeout of 0.3 s"


async def test_a_shorter_timeout_ends_the_call_of_another_service(app):
    with pytest.raises(CallError, match=r"Bank\.hang did not answer within its timeout of 0\.3 s"):
        await app.client(Shop).pay()


async def test_a_longer_timeout_reaches_the_method(app):
    """The contract says 0.2 s."""
    assert 30 < await app.client(Bank).left() <= 60


async def test_a_timeout_holds_over_a_stream(app):
    arrived = []
    with pytest.raises(CallError, match=r"within its timeout of 0\.4 s"):
        async for number in app.client(Bank).drip():
            arrived.append(number)  # noqa: PERF401

    assert arrived == [1]


async def test_attempts_are_as_the_placement_says_where_a_wire_is_between(app, where):
    desk = app.client(Desk)
    held = asyncio.create_task(desk.hold())
    refused = None
    while where != "local" and refused is None:  # until the one that is worked on has come there
        before = await turned_away(app)
        try:
            await desk.work()
        except CallError as error:
            refused = error
    if where == "local":
        await desk.work()
    else:
        assert refused.code is Code.RESOURCE_EXHAUSTED
        assert await turned_away(app) - before == 5
    held.cancel()


async def turned_away(app):
    found = [sample for text in await app.all_figures() for sample in samples(text)]
    return sum(each.value for each in found if each.name == "meristem_shed_total")
