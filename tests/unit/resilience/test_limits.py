"""Limits of concurrent calls: the gate, the bulkhead, and the limit that adapts itself."""

import asyncio

import pytest

from meristem.contracts.call import Call
from meristem.errors import CallError, Code
from meristem.resilience.bulkhead import Bulkhead, BulkheadPolicy
from meristem.resilience.facts import Shed
from meristem.resilience.gate import Gate
from meristem.resilience.limiter import Limiter, LimiterPolicy, Usual


class Work:
    """A handler that works until it is told to end; it counts who is inside."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.inside = self.most = 0

    async def __call__(self, _: Call) -> str:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.end.wait()
        finally:
            self.inside -= 1
        return "done"


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_those_who_wait_are_let_in_in_the_order_of_their_coming():
    gate, order = Gate(1, 10, 60), []

    async def pass_through(number: int) -> None:
        assert await gate.enter()
        order.append(number)
        await asyncio.sleep(0)
        gate.leave()

    await asyncio.gather(*(pass_through(number) for number in range(6)))
    assert order == list(range(6))
    assert (gate.inside, gate.waiting) == (0, 0)


async def test_a_full_queue_refuses_at_once_and_a_long_wait_after_its_time():
    gate = Gate(1, 1, 0.02)
    assert await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await turns()
    assert await gate.enter() is False
    assert await waiting is False
    assert (gate.inside, gate.waiting) == (1, 0)


async def test_who_is_cancelled_while_waiting_leaves_the_queue():
    gate = Gate(1, 10, 60)
    await gate.enter()
    first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await turns()
    first.cancel()
    await turns()
    gate.leave()
    assert await second
    assert gate.inside == 1


async def test_who_is_let_in_and_cancelled_in_the_same_moment_does_not_keep_a_place():
    gate = Gate(1, 10, 60)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await turns()
    gate.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert gate.inside == 0


async def test_a_limit_that_grows_lets_in_who_waits():
    gate = Gate(1, 10, 60)
    await gate.enter()
    waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
    await turns()
    gate.limit = 3
    gate.admit()
    await turns()
    assert [task.done() for task in waiting] == [True, True, False]
    gate.leave()
    assert await waiting[2]


async def test_a_bulkhead_lets_in_so_many_and_refuses_the_rest_without_harm(call):
    facts, work = [], Work()
    bulkhead = Bulkhead("bank", BulkheadPolicy(limit=3, queue=2, wait=60), on_fact=facts.append)
    handler = bulkhead.middleware(work)
    tasks = [asyncio.create_task(handler(call())) for _ in range(10)]
    await turns()
    assert work.inside == 3
    work.end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, CallError)]
    assert (work.most, outcomes.count("done"), len(refused)) == (3, 5, 5)
    assert {(each.code, each.may_have_happened) for each in refused} == {(Code.RESOURCE_EXHAUSTED, False)}
    assert "bank: 3 calls are in flight to it already" in refused[0].message
    assert facts == [Shed("bank", 3)] * 5
    assert bulkhead.gate.inside == 0


async def test_a_failed_call_leaves_the_bulkhead(call):
    async def fails(_: Call) -> None:
        raise ValueError("bug")

    bulkhead = Bulkhead("bank", BulkheadPolicy(limit=1))
    for _ in range(3):
        with pytest.raises(ValueError, match="bug"):
            await bulkhead.middleware(fails)(call())


async def test_a_stream_stays_in_the_bulkhead_until_it_ends(call, operation):
    async def handler(_: Call):
        async def items():
            yield 1
            yield 2

        return items()

    bulkhead = Bulkhead("bank")
    whole = await bulkhead.middleware(handler)(call(operation(stream=True)))
    left = await bulkhead.middleware(handler)(call(operation(stream=True)))
    assert bulkhead.gate.inside == 2
    assert [item async for item in whole] == [1, 2]
    assert bulkhead.gate.inside == 1
    await left.aclose()
    assert bulkhead.gate.inside == 0


def play(limiter, time, usual, latency_at, calls, *, demand=10**9):
    """Calls that always fill the server up to its limit or the demand; `latency_at(n)` is its speed with n inside."""
    for _ in range(calls):
        inside = min(demand, limiter.limit)
        limiter.gate.inside = inside
        seconds = latency_at(inside)
        time.now += seconds / max(1, inside)
        limiter.observe(usual, seconds, loaded=inside * 2 >= limiter.limit)
    limiter.gate.inside = 0


def server(capacity: int, base: float):
    """A server that answers in `base` seconds up to its capacity and shares it beyond."""
    return lambda inside: base * max(1.0, inside / capacity)


@pytest.mark.parametrize("capacity", [40, 100, 400])
def test_the_limit_settles_where_latency_doubles(time, capacity):
    limiter = Limiter("payments", LimiterPolicy(initial=1000, window=0.05), now=time)
    usual = Usual()
    play(limiter, time, usual, server(capacity, 0.01), 200, demand=10)  # what is usual
    play(limiter, time, usual, server(capacity, 0.01), 150_000)
    assert 1.5 * capacity <= limiter.limit <= 3.2 * capacity, limiter.limit


def test_the_limit_grows_again_when_the_server_recovers(time):
    limiter = Limiter("payments", LimiterPolicy(initial=400, window=0.05), now=time)
    usual = Usual()
    play(limiter, time, usual, server(400, 0.01), 200, demand=10)
    play(limiter, time, usual, server(20, 0.01), 60_000)
    low = limiter.limit
    play(limiter, time, usual, server(400, 0.01), 250_000)
    assert low < 80
    assert limiter.limit > 300


def test_a_limit_that_is_not_reached_does_not_move(time):
    """A slow morning is no reason to let in less in the afternoon."""
    limiter = Limiter("payments", LimiterPolicy(initial=256), now=time)
    play(limiter, time, Usual(), server(10, 0.01), 20_000, demand=100)
    assert limiter.limit == 256


def test_a_mixture_of_quick_and_slow_operations_is_no_overload(time):
    limiter = Limiter("documents", LimiterPolicy(initial=100, window=0.05, minimum=10), now=time)
    quick, slow = Usual(), Usual()
    for _ in range(300):
        play(limiter, time, quick, server(1000, 0.001), 50)
        play(limiter, time, slow, server(1000, 2.0), 1)
    assert limiter.limit >= 100


def test_the_limit_stays_within_its_bounds(time):
    limiter = Limiter("payments", LimiterPolicy(initial=100, minimum=50, maximum=120, window=0.01), now=time)
    usual = Usual()
    play(limiter, time, usual, server(10_000, 0.01), 20_000)
    assert limiter.limit == 120
    play(limiter, time, usual, server(1, 0.01), 20_000)
    assert limiter.limit == 50


async def test_normal_load_is_never_shed(operation, call):
    limiter = Limiter("payments")

    async def works(_: Call) -> str:
        await asyncio.sleep(0)
        return "done"

    handler = limiter.middleware(operation())(works)
    for _ in range(50):
        assert set(await asyncio.gather(*(handler(call()) for _ in range(100)))) == {"done"}
    assert limiter.gate.inside == 0


async def test_what_is_above_the_limit_and_the_queue_is_turned_away_early(operation, call):
    facts, work = [], Work()
    limiter = Limiter("payments", LimiterPolicy(initial=3, minimum=3, queue=2, wait=60), on_fact=facts.append)
    handler = limiter.middleware(operation())(work)
    tasks = [asyncio.create_task(handler(call())) for _ in range(10)]
    await turns()
    refused = [task for task in tasks if task.done()]
    assert (work.inside, len(refused)) == (3, 5)
    error = refused[0].exception()
    assert (error.code, error.may_have_happened) == (Code.RESOURCE_EXHAUSTED, False)
    assert error.retry_after > 0
    assert error.message == "payments works on 3 calls, its limit at the moment; try again later"
    for task in refused:
        task.exception()
    work.end.set()
    assert [await task for task in tasks if task not in refused] == ["done"] * 5
    assert limiter.gate.inside == 0
    assert facts == [Shed("payments", 3)] * 5
    assert limiter.shed == 5


async def test_calls_cut_off_at_their_deadlines_shrink_the_limit(operation, call, time):
    limiter = Limiter("bank", LimiterPolicy(initial=40, minimum=4, window=0.0, samples=1), now=time)

    async def works(call: Call) -> None:
        time.now += 0.01 if call.context.deadline is None else 5.0
        if call.context.deadline is not None:
            raise asyncio.CancelledError

    handler = limiter.middleware(operation())(works)
    for _ in range(50):
        await handler(call())
    for _ in range(30):
        limiter.gate.inside = limiter.limit - 1
        with pytest.raises(asyncio.CancelledError):
            await handler(call(deadline=time.now + 4))
    assert limiter.limit < 25


async def test_errors_and_cancellations_leave_the_limiter(operation, call):
    limiter = Limiter("payments", LimiterPolicy(initial=1, minimum=1))

    async def fails(_: Call) -> None:
        raise ValueError("bug")

    for _ in range(40):
        with pytest.raises(ValueError, match="bug"):
            await limiter.middleware(operation())(fails)(call())
    work = Work()
    task = asyncio.create_task(limiter.middleware(operation())(work)(call()))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.gate.inside == 0
