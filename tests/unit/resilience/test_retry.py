"""Retries: what is repeated, when, how often, and what is never repeated."""

import asyncio
import random

import pytest

from meristem.context import Trace
from meristem.contracts.call import Call
from meristem.contracts.operation import Retry, Semantics
from meristem.errors import CallError, Code, Fault, NotServedHere
from meristem.keys import KeyChain
from meristem.resilience.breaker import Breaker, BreakerPolicy
from meristem.resilience.facts import CallRetried, RetryRefused
from meristem.resilience.retry import Attempt, BudgetPolicy, RetryBudget, Retrying

DOWN = Code.UNAVAILABLE


class Flaky:
    """Raises the errors given, one a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> str:
        self.calls.append(call)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def down(**more) -> CallError:
    return CallError(DOWN, "down", **more)


@pytest.fixture
def told():
    return []


@pytest.fixture
def retrying(time, told, operation):
    def make(semantics=Semantics.SAFE, retry=None, budget=None, seed=1, away=0.0):
        return Retrying(
            operation(semantics, retry=retry),
            budget or RetryBudget("payments", now=time),
            rng=random.Random(seed),
            now=time,
            sleep=time.sleep,
            on_fact=told.append,
            away=away,
        )

    return make


async def test_a_call_that_fails_for_a_moment_succeeds(retrying, call, told):
    flaky = Flaky(down(), down())
    assert await retrying().middleware(flaky)(call()) == "done"
    assert len(flaky.calls) == 3
    assert [(fact.attempt, fact.code) for fact in told] == [(2, "unavailable"), (3, "unavailable")]
    assert all(isinstance(fact, CallRetried) for fact in told)


async def test_after_the_last_attempt_the_error_says_how_many_there_were(retrying, call):
    flaky = Flaky(*[down() for _ in range(9)])
    with pytest.raises(CallError) as caught:
        await retrying().middleware(flaky)(call())
    assert len(flaky.calls) == 3
    assert caught.value.__notes__ == ["Bank.debit was tried 3 times"]


@pytest.mark.parametrize(
    ("semantics", "happened", "attempts"),
    [
        (Semantics.SAFE, True, 2),
        (Semantics.IDEMPOTENT, True, 2),
        (Semantics.ONCE, True, 2),
        (Semantics.PLAIN, True, 1),
        (Semantics.PLAIN, False, 2),
    ],
)
async def test_only_what_does_no_harm_is_repeated(retrying, call, semantics, happened, attempts):
    flaky = Flaky(down(may_have_happened=happened))
    if attempts == 1:
        with pytest.raises(CallError):
            await retrying(semantics).middleware(flaky)(call())
    else:
        await retrying(semantics).middleware(flaky)(call())
    assert len(flaky.calls) == attempts


class CardDeclined(Fault):
    pass


@pytest.mark.parametrize(
    "code", [code for code in Code if code.name not in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED")]
)
async def test_an_error_that_will_not_change_is_not_repeated(retrying, call, code):
    flaky = Flaky(CallError(code, "no"))
    with pytest.raises(CallError):
        await retrying().middleware(flaky)(call())
    assert len(flaky.calls) == 1


@pytest.mark.parametrize("error", [CardDeclined(), ValueError("bug")])
async def test_faults_and_bugs_are_not_repeated(retrying, call, error):
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        await retrying().middleware(flaky)(call())
    assert len(flaky.calls) == 1


async def test_a_second_error_of_another_kind_ends_the_attempts(retrying, call):
    flaky = Flaky(down(), CallError(Code.NOT_FOUND, "gone"))
    with pytest.raises(CallError, match="gone"):
        await retrying().middleware(flaky)(call())
    assert len(flaky.calls) == 2


async def test_delays_have_full_jitter_below_a_growing_ceiling(retrying, call, time):
    """Of many calls the delays fill the whole range, so that clients do not come back together."""
    retry = Retry(attempts=4, base=0.1, cap=0.3)
    budget = RetryBudget("payments", BudgetPolicy(share=10, burst=100), time)
    retried = retrying(retry=retry, budget=budget)
    firsts, seconds, thirds = [], [], []
    for _ in range(2000):
        time.slept.clear()
        await retried.middleware(Flaky(down(), down(), down()))(call())
        for delays, delay in zip((firsts, seconds, thirds), time.slept, strict=True):
            delays.append(delay)
    for delays, ceiling in ((firsts, 0.1), (seconds, 0.2), (thirds, 0.3)):
        assert max(delays) <= ceiling
        assert sum(delays) / len(delays) == pytest.approx(ceiling / 2, rel=0.05)
        assert min(delays) < ceiling * 0.01
        assert max(delays) > ceiling * 0.99


async def test_a_server_that_says_when_to_come_back_is_obeyed(retrying, call, time):
    flaky = Flaky(CallError(Code.RESOURCE_EXHAUSTED, "busy", retry_after=2.0))
    await retrying().middleware(flaky)(call())
    assert 2.0 <= time.slept[0] <= 2.2


async def test_no_attempt_is_made_that_would_begin_after_the_deadline(retrying, call, time):
    flaky = Flaky(CallError(Code.RESOURCE_EXHAUSTED, "busy", retry_after=2.0))
    with pytest.raises(CallError) as caught:
        await retrying().middleware(flaky)(call(deadline=time.now + 1.5))
    assert time.slept == []
    assert caught.value.__notes__ == ["Bank.debit was not tried again: its deadline would come first"]


async def test_no_attempt_is_made_that_could_not_finish_within_the_deadline(retrying, call, time):
    retried = retrying()

    async def slow(_: Call) -> str:
        if slow.fails:
            slow.fails -= 1
            raise down()
        time.now += 1.0
        return "done"

    for _ in range(20):  # it learns that a successful attempt takes a second
        slow.fails = 1
        await retried.middleware(slow)(call())
    time.slept.clear()
    slow.fails = 1
    with pytest.raises(CallError):
        await retried.middleware(slow)(call(deadline=time.now + 0.9))
    assert time.slept == []


async def test_retries_never_exceed_a_fifth_of_the_calls_for_long(retrying, call, time, told):
    """An outage: every call fails; the load on what is down grows by the budget alone."""
    policy = BudgetPolicy(share=0.2, per_second=1.0, burst=20.0)
    retried = retrying(budget=RetryBudget("payments", policy, time))
    attempts = 0

    async def fails(_: Call) -> None:
        nonlocal attempts
        attempts += 1
        raise down()

    handler, began = retried.middleware(fails), time.now
    for _ in range(5000):
        time.now += 0.01
        with pytest.raises(CallError):
            await handler(call())
    retries = attempts - 5000
    seconds = time.now - began
    assert retries <= 0.2 * 5000 + seconds * 1.0 + 20
    assert retries >= 0.9 * 0.2 * 5000
    assert any(isinstance(fact, RetryRefused) for fact in told)


async def test_the_first_error_is_returned_with_a_note_when_the_budget_is_used_up(retrying, call, time):
    empty = RetryBudget("payments", BudgetPolicy(share=0.0, per_second=0.0, burst=0.0), time)
    first = down()
    with pytest.raises(CallError) as caught:
        await retrying(budget=empty).middleware(Flaky(first))(call())
    assert caught.value is first
    assert caught.value.__notes__ == ["not tried again: the retry budget of 'payments' (0% of calls) is used up"]


async def test_each_attempt_derives_the_same_keys_and_stands_in_the_same_trace(retrying, call):
    seen = []
    trace = Trace.start()

    async def works(call: Call) -> str:
        seen.append((call.context.trace, call.context.keys.derive("bank", None), call.context.key))
        call.context.trace = call.context.trace.child()  # as a trace middleware does
        if len(seen) < 3:
            raise down()
        return "done"

    await retrying().middleware(works)(call(trace=trace, key="k", keys=KeyChain("k", None)))
    assert len(set(seen)) == 1
    assert seen[0][0] is trace


async def test_attempts_know_the_endpoints_that_failed(retrying, call):
    errors = [down(), down()]
    errors[0].origin, errors[1].origin = "a", "b"
    flaky = Flaky(*errors)
    await retrying().middleware(flaky)(call())
    assert not isinstance(flaky.calls[0], Attempt)
    assert [each.tried for each in flaky.calls[1:]] == [("a",), ("a", "b")]


def test_a_rarely_called_dependency_may_be_retried_all_the_same(time):
    budget = RetryBudget("payments", BudgetPolicy(share=0.2, per_second=1.0, burst=5.0), time)
    while budget.withdraw():
        pass
    time.now += 1.01
    assert budget.withdraw()
    assert not budget.withdraw()
    time.now += 3600
    assert [budget.withdraw() for _ in range(6)] == [True] * 5 + [False]


class Guarded:
    """An endpoint behind a breaker that is open; `answer` lets the calls that reached it go on."""

    def __init__(self, time) -> None:
        self.breaker = Breaker(
            "payments at a:1", BreakerPolicy(minimum=1, open_for=2.0, jitter=0.0, probes=2), now=time
        )
        self.error: CallError | None = down()
        self.answer = asyncio.Event()
        self.answer.set()
        self.reached = 0

    async def __call__(self, _: Call) -> str:
        self.reached += 1
        await self.answer.wait()
        if self.error is not None:
            raise self.error
        return "done"


@pytest.fixture
async def guarded(time, call):
    guarded = Guarded(time)
    with pytest.raises(CallError, match="down"):
        await guarded.breaker.middleware(guarded)(call())
    assert guarded.breaker.is_open
    guarded.reached = 0
    return guarded


@pytest.mark.parametrize("semantics", list(Semantics))
async def test_an_open_breaker_is_waited_for_by_nobody(retrying, call, told, time, guarded, semantics):
    before = time.now
    with pytest.raises(CallError, match=r"circuit breaker open for 2\.0 s more") as caught:
        await retrying(semantics).middleware(guarded.breaker.middleware(guarded))(call(deadline=time.now + 60.0))
    assert (guarded.reached, told, time.now) == (0, [], before)
    assert caught.value.retry_after == 2.0


@pytest.mark.parametrize("attempts", [1, 3])
async def test_while_a_breaker_probes_other_calls_wait_and_follow_the_probes(
    retrying, call, told, time, guarded, attempts
):
    time.now += 2.0
    guarded.error = None
    guarded.answer.clear()
    handler = retrying(Semantics.PLAIN, retry=Retry(attempts=attempts)).middleware(guarded.breaker.middleware(guarded))
    calls = [asyncio.create_task(handler(call())) for _ in range(20)]
    await asyncio.sleep(0)
    assert guarded.reached == 2
    guarded.answer.set()

    assert await asyncio.gather(*calls) == ["done"] * 20
    assert told == []  # nothing was repeated


async def test_when_a_probe_fails_those_who_waited_for_it_are_refused(retrying, call, time, guarded):
    time.now += 2.0
    guarded.answer.clear()
    handler = retrying(retry=Retry(attempts=1)).middleware(guarded.breaker.middleware(guarded))
    calls = [asyncio.create_task(handler(call())) for _ in range(20)]
    await asyncio.sleep(0)
    guarded.answer.set()

    outcomes = [str(each) for each in await asyncio.gather(*calls, return_exceptions=True)]
    assert guarded.reached == 2
    assert sum("circuit breaker open for 4.0 s more" in each for each in outcomes) == 18


async def test_a_place_of_a_probe_whose_caller_left_goes_to_one_who_waits(retrying, call, time, guarded):
    time.now += 2.0
    guarded.error = None
    guarded.answer.clear()
    handler = retrying().middleware(guarded.breaker.middleware(guarded))
    calls = [asyncio.create_task(handler(call())) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    while guarded.reached < 3:
        await asyncio.sleep(0)
    guarded.answer.set()
    assert await asyncio.gather(*calls[1:]) == ["done"] * 2


async def test_probes_that_last_are_waited_for_no_longer_than_the_deadline(retrying, call, time, guarded):
    time.now += 2.0
    guarded.answer.clear()
    handler = retrying().middleware(guarded.breaker.middleware(guarded))
    probes = [asyncio.create_task(handler(call())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CallError, match="waiting for its probes"):
        await handler(call(deadline=time.now + 0.01))
    guarded.answer.set()
    await asyncio.gather(*probes, return_exceptions=True)


@pytest.mark.parametrize("code", list(Code))
@pytest.mark.parametrize("happened", [True, False])
async def test_what_the_service_itself_raised_is_its_answer(retrying, call, told, code, happened):
    flaky = Flaky(CallError(code, "busy", may_have_happened=happened).passed_on())
    with pytest.raises(CallError, match="busy"):
        await retrying().middleware(flaky)(call())

    assert (len(flaky.calls), told) == (1, [])


async def test_what_the_framework_says_in_place_of_the_service_is_tried_again(retrying, call):
    flaky = Flaky(NotServedHere("its sagas stop", may_have_happened=True).passed_on())
    assert await retrying().middleware(flaky)(call()) == "done"


async def test_a_service_that_lets_that_pass_from_a_call_below_answers_with_it(retrying, call):
    below = NotServedHere("its sagas stop", may_have_happened=False)
    below.private = True
    flaky = Flaky(below.passed_on())
    with pytest.raises(CallError, match="its sagas stop") as caught:
        await retrying().middleware(flaky)(call())

    assert caught.value.may_have_happened


async def test_the_last_error_is_no_consequence_of_the_first(retrying, call):
    with pytest.raises(CallError) as caught:
        await retrying().middleware(Flaky(down(), down(), down()))(call())
    assert caught.value.__context__ is None


class Birth:
    """Tells that an endpoint is there once it was asked so often."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> bool:
        self.asked.append(seconds)
        self.left -= 1
        return self.left >= 0


def unborn(birth: Birth) -> CallError:
    error = down(may_have_happened=False)
    error.unborn = birth
    return error


async def test_a_call_waits_for_an_endpoint_that_is_yet_to_start_without_an_attempt(retrying, call, told):
    birth = Birth(1)
    once = Retry(attempts=1)
    flaky = Flaky(unborn(birth))

    assert await retrying(retry=once, away=5.0).middleware(flaky)(call()) == "done"
    assert (birth.asked, told) == ([5.0], [])


async def test_one_that_does_not_come_is_an_outage_like_any_other(retrying, call):
    birth = Birth(0)
    flaky = Flaky(unborn(birth), unborn(birth))

    with pytest.raises(CallError, match="down"):
        await retrying(retry=Retry(attempts=2), away=5.0).middleware(flaky)(call())

    assert len(flaky.calls) == 2


async def test_who_waits_for_an_endpoint_until_its_deadline_hears_that_nobody_is_there(retrying, call, time):
    async def never(_: float) -> bool:
        await asyncio.Event().wait()
        return True

    error = unborn(Birth(0))
    error.unborn = never
    with pytest.raises(CallError, match="down") as caught:
        await retrying(away=5.0).middleware(Flaky(error))(call(deadline=time() + 0.05))

    assert (caught.value.code, caught.value.may_have_happened) == (DOWN, False)
    assert caught.value.__notes__ == ["Bank.debit was not tried again: its deadline would come first"]
