"""Waits between attempts: they double, end at the cap, and are spread as the policy says."""

import random

import pytest

from meristem.backoff import FULL, HALF, ceiling, wait_after
from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.operation import Retry
from meristem.errors import CallError, Code
from meristem.events.policy import DeliveryPolicy
from meristem.resilience.breaker import Breaker, BreakerPolicy
from meristem.sagas.policy import Backoff
from meristem.supervision.restarts import Restarts


def test_each_wait_may_be_twice_as_long_as_the_one_before_up_to_the_cap():
    assert [ceiling(attempt, 0.5, 3.0) for attempt in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_an_outage_of_a_year_still_waits_the_cap():
    assert ceiling(1_000_000, 0.1, 30.0) == 30.0


@pytest.mark.parametrize(("jitter", "least"), [(FULL, 0.0), (HALF, 4.0)])
def test_jitter_shortens_and_never_lengthens(jitter, least):
    rng = random.Random(5)
    waits = [wait_after(9, 1.0, 8.0, jitter, rng.uniform) for _ in range(2000)]
    assert min(waits) >= least
    assert max(waits) <= 8.0
    assert min(waits) < least + 0.1
    assert max(waits) > 7.9


def test_every_policy_waits_as_its_page_says():
    longest = {
        "delivery": max(DeliveryPolicy(base=1.0, cap=100.0).delay(2) for _ in range(500)),
        "saga": max(Backoff(base=1.0, cap=100.0).delay(2) for _ in range(500)),
        "restart": max(Restarts(base=1.0, cap=100.0).delay(2) for _ in range(500)),
    }
    assert 3.8 < longest["delivery"] <= 4.0  # after two failures, base * 2**2
    assert 1.9 < longest["saga"] <= 2.0  # after the second attempt, base * 2
    assert 1.9 < longest["restart"] <= 2.0
    assert Retry.rising == DeliveryPolicy.rising == Backoff.rising == ("base", "cap")


async def test_a_breaker_whose_probes_fail_for_a_day_is_still_probed_as_its_policy_says():
    now = 0.0
    breaker = Breaker("bank at a:1", BreakerPolicy(minimum=1, open_at_most=30.0, jitter=0.0), now=lambda: now)

    async def down(_: Call) -> None:
        raise CallError(Code.UNAVAILABLE, "down")

    call = breaker.middleware(down)
    for _ in range(2880):  # a probe each half minute
        with pytest.raises(CallError, match="down"):
            await call(Call(None, None, Context()))  # type: ignore[arg-type]  # no breaker looks at an operation
        assert breaker.is_open
        now += 30.0
