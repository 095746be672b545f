"""Balancing: load goes where it is answered soonest, and not where it fails."""

import asyncio
import heapq
import random
from collections import Counter
from contextlib import suppress

import pytest

from meristem.contracts.call import Call
from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.resilience.balancer import Balancer, BalancerPolicy
from meristem.resilience.facts import Ejected
from meristem.resilience.retry import Attempt, RetryBudget, Retrying


class Replica:
    """An endpoint whose latency and health a test decides; its latency passes on the test's clock."""

    def __init__(self, address, time, latency=0.01) -> None:
        self.address = address
        self.in_flight = 0
        self.time = time
        self.latency = latency
        self.error: Exception | None = None
        self.calls = 0

    async def handler(self, _: Call) -> str:
        self.calls += 1
        self.time.now += self.latency
        if self.error is not None:
            raise self.error
        return self.address


def down() -> CallError:
    return CallError(Code.UNAVAILABLE, "down")


@pytest.fixture
def replicas(time):
    return [Replica(name, time) for name in "abcd"]


@pytest.fixture
def facts():
    return []


@pytest.fixture
def balancer(replicas, time, facts):
    return Balancer("payments", replicas, rng=random.Random(7), now=time, on_fact=facts.append)


async def test_equal_endpoints_get_equal_shares(balancer, call):
    shares = Counter([await balancer.handler(call()) for _ in range(4000)])
    assert all(800 <= count <= 1200 for count in shares.values()), shares


def concurrent_shares(balancer, latencies, arrivals, interval, time):
    """Play calls that overlap: each endpoint takes its latency; the answer is who got how many."""
    ending: list[tuple[float, int, object, float]] = []
    shares = Counter()
    for number in range(arrivals):
        time.now += interval
        while ending and ending[0][0] <= time.now:
            end, _, target, began = heapq.heappop(ending)
            target.endpoint.in_flight -= 1
            target.answered(end - began, end, balancer.policy.memory)
        target = balancer.choose(None)
        target.endpoint.in_flight += 1
        shares[target.endpoint.address] += 1
        heapq.heappush(ending, (time.now + latencies[target.endpoint.address], number, target, time.now))
    return shares


def test_a_slow_endpoint_gets_a_small_share(balancer, time):
    latencies = {"a": 0.2, "b": 0.01, "c": 0.01, "d": 0.01}
    shares = concurrent_shares(balancer, latencies, 4000, 0.001, time)
    assert shares["a"] < 0.05 * 4000, shares
    assert all(shares[name] > 0.2 * 4000 for name in "bcd"), shares


def test_an_endpoint_that_becomes_fast_again_gets_its_share_back(balancer, time):
    slow = {"a": 0.2, "b": 0.01, "c": 0.01, "d": 0.01}
    concurrent_shares(balancer, slow, 2000, 0.001, time)
    fast = dict.fromkeys("abcd", 0.01)
    concurrent_shares(balancer, fast, 60_000, 0.001, time)
    assert concurrent_shares(balancer, fast, 4000, 0.001, time)["a"] > 0.15 * 4000


async def test_an_endpoint_that_keeps_failing_is_ejected_and_tried_again_later(balancer, replicas, call, time, facts):
    replicas[0].error = down()
    origins = set()
    for _ in range(400):
        try:
            await balancer.handler(call())
        except CallError as error:
            origins.add(error.origin)
    assert origins == {"a"}
    assert replicas[0].calls <= 10
    (fact,) = [fact for fact in facts if isinstance(fact, Ejected)][:1]
    assert (fact.dependency, fact.address) == ("payments", "a")
    assert 5.0 <= fact.seconds <= 6.0
    replicas[0].error, before = None, replicas[0].calls
    time.now += 60
    for _ in range(2000):
        await balancer.handler(call())
    assert replicas[0].calls - before > 300


async def test_at_most_half_of_the_endpoints_are_ejected(balancer, replicas, call):
    for _ in range(40):
        await balancer.handler(call())
    for replica in replicas:
        replica.error = down()
    for _ in range(1000):
        with pytest.raises(CallError):
            await balancer.handler(call())
    now = balancer._now()
    assert sum(target.ejected_until > now for target in balancer.targets) == 2


async def test_none_is_ejected_before_any_other_has_answered(balancer, replicas, call, facts):
    """A system starts: callers that are ready first try all replicas, of which none does worse than the others."""
    for replica in replicas:
        replica.error = down()
    for _ in range(100):
        with pytest.raises(CallError):
            await balancer.handler(call())
    assert facts == []
    replicas[1].error = None
    for _ in range(100):
        with suppress(CallError):
            await balancer.handler(call())
    ejected = {fact.address for fact in facts}
    assert len(ejected) == 2
    assert "b" not in ejected


async def test_the_only_endpoint_is_never_ejected(time, call):
    only = Replica("a", time)
    only.error = down()
    balancer = Balancer("payments", [only], now=time)
    for _ in range(100):
        with pytest.raises(CallError):
            await balancer.handler(call())
    assert only.calls == 100


async def test_answers_that_the_caller_does_not_like_eject_nobody(balancer, replicas, call, facts):
    replicas[0].error = CallError(Code.NOT_FOUND, "no")
    for _ in range(400):
        with suppress(CallError):
            await balancer.handler(call())
    assert replicas[0].calls > 50
    assert facts == []


async def test_a_server_that_sheds_quickly_does_not_attract_calls(balancer, replicas, call):
    replicas[0].latency = 0.0001
    replicas[0].error = CallError(Code.RESOURCE_EXHAUSTED, "busy", retry_after=0.5)
    for _ in range(400):
        with suppress(CallError):
            await balancer.handler(call())
    assert replicas[0].calls < 40


async def test_endpoints_come_and_go_while_it_works(balancer, replicas, call, time):
    balancer.remove("a")
    new = Replica("e", time)
    balancer.add(new)
    shares = Counter([await balancer.handler(call()) for _ in range(1000)])
    assert shares["a"] == 0
    assert shares["e"] > 100
    kept = next(target for target in balancer.targets if target.endpoint.address == "b")
    balancer.update([replicas[1], Replica("f", time)])
    assert [target.endpoint.address for target in balancer.targets] == ["b", "f"]
    assert balancer.targets[0] is kept


async def test_a_new_endpoint_is_not_flooded_before_it_is_known(balancer, call, time):
    for _ in range(200):
        await balancer.handler(call())
    balancer.add(Replica("e", time))
    shares = concurrent_shares(balancer, dict.fromkeys("abcde", 0.01), 50, 0.001, time)
    assert shares["e"] <= 25, shares


async def test_without_endpoints_the_error_says_so(time, call):
    with pytest.raises(CallError, match="payments: no endpoint is known") as caught:
        await Balancer("payments", now=time).handler(call())
    assert not caught.value.may_have_happened


async def test_when_all_that_remain_are_ejected_they_are_used_all_the_same(balancer, replicas, call):
    for target in balancer.targets[:2]:
        target.ejected_until = balancer._now() + 100
    balancer.remove("c")
    balancer.remove("d")
    assert await balancer.handler(call()) in "ab"


async def test_a_retry_goes_to_another_endpoint(balancer, replicas, call, time, operation):
    replicas[0].error = replicas[1].error = down()
    retrying = Retrying(operation(), RetryBudget("payments", now=time), now=time, sleep=time.sleep)
    for _ in range(5):
        before = [replica.calls for replica in replicas]
        assert await retrying.middleware(balancer.handler)(call()) in "cd"
        assert all(now - then <= 1 for now, then in zip([each.calls for each in replicas], before, strict=True))


async def test_a_retry_may_repeat_an_endpoint_when_there_is_no_other(time, call):
    only = Replica("a", time)
    balancer = Balancer("payments", [only, Replica("b", time)], now=time)
    assert await balancer.handler(Attempt.of(call(), ("a", "b"))) in "ab"


async def test_a_call_that_reached_nobody_goes_to_the_next_endpoint_at_once(balancer, replicas, call):
    for replica in replicas[:3]:
        replica.error = CallError(Code.UNAVAILABLE, "nobody listens", may_have_happened=False)

    answers = {await balancer.handler(call()) for _ in range(20)}

    assert answers == {"d"}


async def test_a_call_that_reaches_nobody_anywhere_tries_each_endpoint_once(balancer, replicas, call):
    for replica in replicas:
        replica.error = CallError(Code.UNAVAILABLE, "nobody listens", may_have_happened=False)
    with pytest.raises(CallError, match="nobody listens"):
        await balancer.handler(call())

    assert [replica.calls for replica in replicas] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "error",
    [down(), CallError(Code.RESOURCE_EXHAUSTED, "too much", may_have_happened=False)],
    ids=["may have happened", "overloaded"],
)
async def test_any_other_failure_is_for_the_retries_to_judge(balancer, replicas, call, error):
    for replica in replicas:
        replica.error = error
    with pytest.raises(CallError):
        await balancer.handler(call())

    assert sum(replica.calls for replica in replicas) == 1


async def test_calls_in_flight_are_counted_also_when_they_are_cancelled(time, call):
    class Hanging(Replica):
        async def handler(self, _: Call) -> str:
            await asyncio.Event().wait()
            return ""

    replica = Hanging("a", time)
    task = asyncio.create_task(Balancer("payments", [replica], now=time).handler(call()))
    await asyncio.sleep(0)
    assert replica.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert replica.in_flight == 0


def test_an_ejection_lasts_longer_each_time_up_to_a_limit(time, replicas, facts):
    policy = BalancerPolicy(eject_for=5.0, eject_at_most=12.0)
    balancer = Balancer("payments", replicas, policy, rng=random.Random(1), now=time, on_fact=facts.append)
    target, other = balancer.targets[:2]
    other.answered(0.01, time.now, policy.memory)
    while len(facts) < 4:
        balancer._failed(target, time.now)
        time.now = max(time.now, target.ejected_until + 0.001)
    seconds = [fact.seconds for fact in facts]
    assert 5 <= seconds[0] <= 6
    assert 10 <= seconds[1] <= 12
    assert all(12 <= each <= 14.4 for each in seconds[2:])


def broken() -> CallError:
    error = down()
    error.lost = True
    return error


async def test_a_call_whose_endpoint_died_is_moved_once_if_it_may_be_repeated(balancer, replicas, call, operation):
    for replica in replicas[:1]:
        replica.error = broken()

    assert {await balancer.handler(call()) for _ in range(50)} == {"b", "c", "d"}
    assert replicas[0].calls > 0


async def test_a_plain_call_whose_endpoint_died_is_not_moved(balancer, replicas, call, operation):
    for replica in replicas:
        replica.error = broken()
    with pytest.raises(CallError):
        await balancer.handler(call(operation(Semantics.PLAIN)))

    assert sum(replica.calls for replica in replicas) == 1


async def test_a_call_that_kills_whoever_takes_it_is_not_handed_on_and_on(balancer, replicas, call):
    for replica in replicas:
        replica.error = broken()
    with pytest.raises(CallError):
        await balancer.handler(call())

    assert sum(replica.calls for replica in replicas) == 2


async def test_one_that_was_ejected_is_better_than_one_that_has_just_failed(balancer, replicas, call):
    for target in balancer.targets[1:]:
        target.ejected_until = balancer._now() + 100
    replicas[0].error = CallError(Code.UNAVAILABLE, "nobody listens", may_have_happened=False)

    assert await balancer.handler(call()) in "bcd"


async def test_what_the_service_itself_raised_is_taken_to_no_other_endpoint(balancer, replicas, call):
    for replica in replicas:
        replica.error = CallError(Code.UNAVAILABLE, "busy", may_have_happened=False).passed_on()
    with pytest.raises(CallError, match="busy"):
        await balancer.handler(call())

    assert sum(replica.calls for replica in replicas) == 1


async def test_an_endpoint_whose_service_keeps_failing_is_left_out_all_the_same(balancer, replicas, call, facts):
    """It fails quickly, and would else attract the calls of all."""
    replicas[0].error = CallError(Code.UNAVAILABLE, "its disk is full").passed_on()
    for _ in range(100):
        with suppress(CallError):
            await balancer.handler(call())

    assert [fact.address for fact in facts] == ["a"]
