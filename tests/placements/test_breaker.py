"""A circuit breaker stands before other processes: open, it refuses at once; while it probes, calls wait for it."""

import asyncio

import pytest
from systems.guarded import Bank, Desk, Till

from meristem import CallError, Code
from meristem.resilience.breaker import BreakerPolicy
from meristem.resilience.policies import Policies
from meristem.system.placement import Placement

SYSTEM = "systems.guarded:system"
POLICIES = {
    "bank": Policies(breaker=BreakerPolicy(minimum=2, open_for=5.0, jitter=0.0)),
    "till": Policies(breaker=BreakerPolicy(minimum=2, open_for=0.2, jitter=0.0, probes=2)),
    "desk": Policies(breaker=BreakerPolicy(minimum=1, open_for=30.0, jitter=0.0)),
}
PROCESSES = {"bank": ("bank",), "till": ("till",), "desk": ("desk",)}
OPTIONS = {"placement": Placement(processes=PROCESSES, policies=POLICIES)}
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def fail(contract):
    for _ in range(2):
        with pytest.raises(CallError):
            await contract.stall()


async def test_an_open_breaker_refuses_a_call_that_had_the_time_to_wait_for_it(app, where):
    bank = app.client(Bank)
    await fail(bank)
    if where == "local":
        await bank.put()
        return
    with pytest.raises(CallError) as caught:
        await bank.put()

    assert "circuit breaker open for" in caught.value.message
    assert caught.value.may_have_happened is False


async def test_once_it_probes_all_calls_are_answered(app):
    till = app.client(Till)
    await fail(till)
    while True:  # the breaker lets a probe through
        try:
            await till.put()
            break
        except CallError as refusal:
            assert "circuit breaker" in refusal.message  # noqa: PT017 - until then
            await asyncio.sleep(0.02)

    await asyncio.gather(*(till.put() for _ in range(20)))


@pytest.mark.parametrize("code", [each.value for each in Code])
async def test_an_error_that_the_service_raises_is_an_answer_and_opens_no_breaker(app, code):
    """In one process its other operations are answered all the same."""
    desk = app.client(Desk)
    for _ in range(3):
        with pytest.raises(CallError, match="closed"):
            await desk.refuse(code)

    await desk.put()


async def test_nor_does_a_bug_of_it(app, caplog):
    desk = app.client(Desk)
    for _ in range(3):
        with pytest.raises(CallError, match=r"Desk\.crash failed"):
            await desk.crash()

    await desk.put()
