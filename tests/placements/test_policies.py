"""A placement overrides the timeout and the retries of single operations, wherever their service runs."""

import time

import pytest
from systems.governed import Bank, Shop

from meristem import CallError, Code
from meristem.resilience.policies import OperationPolicy, Policies
from meristem.system.placement import Placement

SYSTEM = "systems.governed:system"
BANK = Policies(
    operations={
        "hang": OperationPolicy(timeout=0.3),
        "left": OperationPolicy(timeout=60.0),
        "drip": OperationPolicy(timeout=0.4),
        "refuse": OperationPolicy(attempts=5),
    }
)
OPTIONS = {"placement": Placement(processes={"shop": ("shop",), "bank": ("bank",)}, policies={"bank": BANK})}
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_shorter_timeout_ends_the_call(app):
    began = time.monotonic()
    with pytest.raises(CallError) as caught:
        await app.client(Bank).hang()

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "Bank.hang did not answer within its timeout of 0.3 s"
    assert 0.25 <= time.monotonic() - began < 5


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
    before = await app.client(Bank).tried()
    with pytest.raises(CallError) as caught:
        await app.client(Bank).refuse()

    assert caught.value.code is Code.UNAVAILABLE
    assert await app.client(Bank).tried() - before == (1 if where == "local" else 5)
