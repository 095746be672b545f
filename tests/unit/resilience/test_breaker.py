"""Circuit breaker: when it opens, what it says, and how it closes again."""

import asyncio
import random

import pytest

from meristem.contracts.call import Call
from meristem.errors import CallError, Code, Fault
from meristem.resilience.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy(ratio=0.5, minimum=10, window=10.0, open_for=2.0, open_at_most=6.0, jitter=0.0, probes=2)


class CardDeclined(Fault):
    pass


class Server:
    """An endpoint whose health a test decides."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0

    async def __call__(self, _: Call) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return "done"


@pytest.fixture
def facts():
    return []


@pytest.fixture
def breaker(time, facts):
    return Breaker("payments at a:1", POLICY, rng=random.Random(1), now=time, on_fact=facts.append)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def send(breaker, server, call):
    handler = breaker.middleware(server)

    async def send(error=None, times=1):
        """The outcomes of calls, by name."""
        server.error = error
        outcomes = []
        for _ in range(times):
            try:
                outcomes.append(await handler(call()))
            except (CallError, Fault) as raised:
                outcomes.append(raised)
        return outcomes

    return send


async def unborn(_seconds: float) -> bool:
    return False


def down() -> CallError:
    return CallError(Code.UNAVAILABLE, "connection refused")


async def test_it_opens_when_half_of_enough_calls_failed(send, breaker, server):
    await send(times=5)
    await send(down(), times=4)
    assert breaker.state == "closed"
    await send(down())
    assert breaker.state == "open"
    seen = server.calls
    (refusal,) = await send()
    assert server.calls == seen
    assert (refusal.code, refusal.may_have_happened, refusal.retry_after) == (Code.UNAVAILABLE, False, 2.0)
    assert refusal.message == (
        "payments at a:1: circuit breaker open for 2.0 s more, because 5 of 10 calls failed within 10 s"
    )


async def test_a_few_failures_of_few_calls_do_not_open_it(send, breaker):
    await send(down(), times=9)
    assert breaker.state == "closed"


async def test_an_endpoint_that_has_yet_to_come_into_being_has_failed_at_nothing(send, breaker):
    early = down()
    early.unborn = unborn
    await send(early, times=POLICY.minimum * 2)
    assert not breaker.is_open
    assert await send() == ["done"]


async def test_failures_below_the_ratio_do_not_open_it(send, breaker):
    for _ in range(100):
        await send(times=6)
        await send(down(), times=4)
    assert breaker.state == "closed"


async def test_old_successes_do_not_hide_a_new_outage(send, breaker, time):
    await send(times=10_000)
    time.now += 60
    await send(down(), times=10)
    assert breaker.state == "open"


async def test_old_failures_are_forgotten(send, breaker, time):
    await send(down(), times=9)
    time.now += 25
    await send(down(), times=9)
    assert breaker.state == "closed"


async def test_failures_of_the_window_before_fade_out(send, breaker, time):
    await send(down(), times=8)
    time.now += 10
    await send(down(), times=1)
    assert breaker.state == "closed"  # 8 of before and 1 of now
    time.now += 0.1
    await send(down(), times=1)
    assert breaker.state == "closed"  # 8 x 0.99 + 2 < 10
    await send(down(), times=1)
    assert breaker.state == "open"


@pytest.mark.parametrize(
    "answer", [CallError(Code.NOT_FOUND, "no"), CallError(Code.RESOURCE_EXHAUSTED, "busy"), CardDeclined()]
)
async def test_answers_that_the_caller_does_not_like_are_no_failures(send, breaker, answer):
    await send(answer, times=100)
    assert breaker.state == "closed"


async def test_it_closes_after_enough_probes_succeeded(send, breaker, time, facts):
    await send(down(), times=10)
    time.now += 2.0
    assert await send(times=1) == ["done"]
    assert breaker.state == "half_open"
    await send(times=1)
    assert breaker.state == "closed"
    assert [(fact.before, fact.after) for fact in facts] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


async def test_a_probe_that_meets_a_fault_shows_that_the_endpoint_lives(send, breaker, time):
    await send(down(), times=10)
    time.now += 2.0
    await send(CardDeclined(), times=2)
    assert breaker.state == "closed"


async def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_limit(send, breaker, time):
    await send(down(), times=10)
    for seconds in (2.0, 4.0, 6.0, 6.0):
        (refusal,) = await send()
        assert refusal.retry_after == pytest.approx(seconds)
        time.now += seconds
        await send(down())
        assert breaker.state == "open"


async def test_only_as_many_probes_as_allowed_go_through_at_once(breaker, call, time, server):
    server.error = down()
    handler = breaker.middleware(server)
    for _ in range(10):
        with pytest.raises(CallError):
            await handler(call())
    time.now += 2.0
    answer = asyncio.Event()
    reached = 0

    async def slow(_: Call) -> str:
        nonlocal reached
        reached += 1
        await answer.wait()
        return "done"

    probing = breaker.middleware(slow)
    tasks = [asyncio.create_task(probing(call())) for _ in range(20)]
    await asyncio.sleep(0)
    assert reached == 2
    answer.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes.count("done") == 2
    assert "waiting for its probes" in str(outcomes[-1])
    assert breaker.state == "closed"


async def test_a_cancelled_probe_gives_its_place_back(send, breaker, call, time):
    await send(down(), times=10)
    time.now += 2.0

    async def hangs(_: Call) -> None:
        await asyncio.Event().wait()

    for _ in range(5):
        task = asyncio.create_task(breaker.middleware(hangs)(call()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await send(times=2)
    assert breaker.state == "closed"


@pytest.mark.parametrize(("late", "state"), [(0.0, "open"), (-1.0, "closed")])
async def test_a_deadline_that_passed_speaks_against_the_endpoint_and_a_caller_who_left_does_not(
    breaker, call, time, server, late, state
):
    server.error = asyncio.CancelledError()
    for _ in range(10):
        with pytest.raises(asyncio.CancelledError):
            await breaker.middleware(server)(call(deadline=time.now - late))
    assert breaker.state == state


async def test_breakers_that_opened_together_do_not_probe_together(time, call, server):
    server.error = down()
    untils = set()
    for seed in range(50):
        policy = BreakerPolicy(minimum=1, open_for=1.0, jitter=0.2)
        breaker = Breaker("x", policy, rng=random.Random(seed), now=time)
        with pytest.raises(CallError):
            await breaker.middleware(server)(call())
        untils.add(round(breaker._until - time.now, 3))
    assert min(untils) >= 1.0
    assert max(untils) <= 1.2
    assert len(untils) > 30
