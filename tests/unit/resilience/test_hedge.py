"""Hedging: a safe call leaves an endpoint that has fallen silent, and only such a one."""

import asyncio
import random
from time import monotonic

import pytest

from meristem.contracts.call import Call
from meristem.errors import CallError, Code, Fault
from meristem.resilience.balancer import Balancer, BalancerPolicy
from meristem.resilience.deadline import deadline_middleware
from meristem.resilience.facts import Ejected, Hedged
from meristem.resilience.hedge import HedgePolicy, Hedging
from meristem.resilience.retry import BudgetPolicy, RetryBudget
from meristem.resilience.timers import Deadlines

QUICK = HedgePolicy(at_least=0.02, unknown=0.004)  # of a timeout of 5 s
LASTING = BalancerPolicy(eject_for=3600.0, eject_at_most=3600.0)  # who is ejected stays so, however slow the machine
PATIENCE = 30  # seconds


class Replica:
    """An endpoint that answers while it is awake; asleep it takes calls and says nothing."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = self.calls = self.cancelled = 0
        self.asked = asyncio.Event()
        self.awake = asyncio.Event()
        self.awake.set()
        self.error: BaseException | None = None

    async def handler(self, _: Call) -> str:
        self.calls += 1
        self.asked.set()
        try:
            await self.awake.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.address


class Gone(Fault):
    """It is gone."""


@pytest.fixture
def a():
    return Replica("a")


@pytest.fixture
def b():
    return Replica("b")


@pytest.fixture
def told():
    return []


@pytest.fixture
def make(a, b, told, operation):
    def made(*replicas, policy=QUICK, budget=None, now=monotonic):
        balancer = Balancer("payments", replicas or (a, b), LASTING, rng=random.Random(3), now=now, on_fact=told.append)
        known = budget or RetryBudget("payments")
        made.balancer = balancer
        return balancer.through(Hedging(operation(), balancer, known, policy, now=now, on_fact=told.append).take)

    return made


async def both(a, b):
    """Return when both endpoints have been asked."""
    async with asyncio.timeout(PATIENCE):
        await a.asked.wait()
        await b.asked.wait()


def hedges(told):
    return [(fact.address, fact.other) for fact in told if isinstance(fact, Hedged)]


async def test_a_call_at_a_silent_endpoint_is_answered_by_another_one(make, a, b, call, told):
    a.awake.clear()
    handler = make()

    answers = await asyncio.gather(*(handler(call()) for _ in range(20)))

    assert set(answers) == {"b"}
    assert a.calls == a.cancelled > 0
    assert (a.in_flight, b.in_flight) == (0, 0)
    assert set(hedges(told)) == {("a", "b")}


async def test_a_silent_endpoint_gets_no_more_calls(make, a, call, told):
    a.awake.clear()
    handler = make()

    for _ in range(100):
        await handler(call())

    assert [fact.address for fact in told if isinstance(fact, Ejected)] == ["a"]
    assert a.calls == 5  # as many failures as the balancer's policy forgives


async def test_the_first_endpoint_may_still_be_the_one_that_answers(make, a, b, call, told):
    a.awake.clear()
    b.awake.clear()
    waiting = asyncio.create_task(make()(call()))
    await both(a, b)
    first = a if hedges(told)[0][0] == "a" else b

    first.awake.set()

    assert await waiting == first.address
    await asyncio.sleep(0)
    assert a.cancelled + b.cancelled == 1


async def test_an_endpoint_that_answers_others_is_slow_and_not_silent(make, a, b, call, told, time):
    """Time moves as the test says, so that no stall makes a silence; the timers that look at it are real."""
    a.awake.clear()
    handler = make(a, Replica("b"), policy=HedgePolicy(at_least=0.1, unknown=0.02), now=time)
    slow = [asyncio.create_task(handler(call())) for _ in range(20)]
    await asyncio.sleep(0)
    assert 0 < a.calls < 20
    lively = Replica("a")  # the same endpoint answers others all the while

    target = next(each for each in make.balancer.targets if each.endpoint is a)
    target.endpoint = lively
    for _ in range(30):
        await make.balancer.take(call(), target)
        await asyncio.sleep(0.01)
        time.now += 0.01
    target.endpoint = a
    a.awake.set()

    assert set(await asyncio.gather(*slow)) == {"a", "b"}
    assert hedges(told) == []


async def test_an_only_endpoint_is_waited_for(make, a, call, told):
    a.awake.clear()
    waiting = asyncio.create_task(make(a)(call()))
    _, still = await asyncio.wait({waiting}, timeout=0.1)
    a.awake.set()

    assert still
    assert await waiting == "a"
    assert told == []


async def test_when_all_are_silent_second_calls_take_from_the_budget(make, a, b, call, told, operation):
    """What is down as a whole is not burdened twice."""
    a.awake.clear()
    b.awake.clear()
    budget = RetryBudget("payments", BudgetPolicy(burst=6.0, share=0.0, per_second=0.0))
    handler = make(budget=budget)

    waiting = [asyncio.create_task(handler(call())) for _ in range(50)]
    async with asyncio.timeout(PATIENCE):
        while len(hedges(told)) < 3:
            await asyncio.sleep(0.01)
    await asyncio.wait(waiting, timeout=0.3)  # in which there would be more
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)

    assert len(hedges(told)) == 3  # a budget begins half full
    assert a.calls + b.calls == 53
    assert (a.in_flight, b.in_flight) == (0, 0)


async def test_one_that_is_ill_alone_is_left_without_a_budget(make, a, call, told):
    a.awake.clear()
    handler = make(budget=RetryBudget("payments", BudgetPolicy(burst=0.0, share=0.0, per_second=0.0)))

    async def all_the_time() -> None:
        while not done.is_set():
            await make.balancer.take(call(), make.balancer.targets[1])
            await asyncio.sleep(0.001)

    done = asyncio.Event()
    others = asyncio.create_task(all_the_time())
    answers = await asyncio.gather(*(handler(call()) for _ in range(50)))
    done.set()
    await others

    assert set(answers) == {"b"}


async def test_a_fault_of_the_second_endpoint_is_an_answer(make, a, b, call):
    a.awake.clear()
    b.error = Gone()
    handler = make()

    outcomes = await asyncio.gather(*(handler(call()) for _ in range(10)), return_exceptions=True)

    assert all(isinstance(each, Gone) for each in outcomes)


async def test_a_second_endpoint_that_is_down_leaves_the_first_its_time(make, a, b, call, told):
    a.awake.clear()
    b.awake.clear()
    b.error = a.error = CallError(Code.UNAVAILABLE, "down")
    waiting = asyncio.create_task(make()(call()))
    await both(a, b)
    first, second = (a, b) if hedges(told) == [("a", "b")] else (b, a)
    first.error = None

    second.awake.set()
    await asyncio.wait({waiting}, timeout=0.05)
    first.awake.set()

    assert await waiting == first.address


async def test_a_deadline_ends_both_calls(make, a, b, call, operation):
    a.awake.clear()
    b.awake.clear()
    deadlines = Deadlines(asyncio.get_running_loop())
    at_once = HedgePolicy(at_least=0.0, unknown=0.0)  # before the deadline, however long a stall lets both be late
    handler = deadline_middleware(deadlines, operation().under(timeout=0.2))(make(policy=at_once))

    with pytest.raises(CallError) as caught:
        await handler(call())
    await asyncio.sleep(0)

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert (a.cancelled, b.cancelled) == (1, 1)
    assert asyncio.current_task().cancelling() == 0
    deadlines.stop()


async def test_a_caller_that_gives_up_ends_both_calls(make, a, b, call, told):
    a.awake.clear()
    b.awake.clear()
    waiting = asyncio.create_task(make()(call()))
    await both(a, b)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)

    assert (a.cancelled, b.cancelled) == (1, 1)


def test_patience_follows_how_long_answers_take(operation, call):
    hedging = Hedging(operation(), Balancer("payments"), RetryBudget("payments"))
    assert hedging._patience == 1.25  # a quarter of the timeout, while nothing is known

    for _ in range(100):
        hedging.learn(0.5)
    steady = hedging._patience
    for _ in range(20):
        hedging.learn(0.1)
        hedging.learn(0.9)

    assert steady == pytest.approx(0.5, rel=0.01)
    assert hedging._patience > 1.5
    hedging.learn(100.0)
    assert hedging._patience == 2.5  # never more than half of the timeout
    for _ in range(200):
        hedging.learn(0.001)
    assert hedging._patience == 0.1


async def test_what_the_service_at_the_second_endpoint_raised_is_an_answer(make, a, b, call):
    a.awake.clear()
    b.error = CallError(Code.UNAVAILABLE, "busy").passed_on()
    handler = make()

    outcomes = await asyncio.gather(*(handler(call()) for _ in range(10)), return_exceptions=True)

    assert [str(each) for each in outcomes] == ["[unavailable] busy"] * 10
