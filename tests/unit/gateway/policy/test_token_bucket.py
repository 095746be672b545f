"""A token bucket admits its burst and then the rate, never more; it forgets what is full again."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from meristem.gateway.policy.token_bucket import TokenBuckets


@pytest.mark.parametrize("seed", range(20))
def test_in_any_window_no_more_than_burst_and_rate_are_admitted(seed: int):
    random = Random(seed)
    rate, burst = random.choice([0.5, 3.0, 10.0, 200.0]), random.randrange(20)
    buckets, now, admitted = TokenBuckets(rate, burst), 0.0, []
    for _ in range(500):
        now += random.choice([0.0, 0.0, random.expovariate(rate), random.expovariate(3 * rate)])
        if buckets.take("one", now).allowed:
            admitted.append(now)
    for at, first in enumerate(admitted):
        for count, last in enumerate(admitted[at:], 1):
            assert count <= burst + 1 + rate * (last - first) + 1e-6


def test_who_keeps_to_the_rate_is_never_refused():
    buckets = TokenBuckets(7.0, 0)
    assert all(buckets.take("one", at / 7.0).allowed for at in range(10_000))


def test_who_is_refused_may_come_when_told_and_not_before():
    buckets = TokenBuckets(2.0, 1)
    assert [buckets.take("one", 0.0).allowed for _ in range(3)] == [True, True, False]
    told = buckets.take("one", 0.0).wait
    assert not buckets.take("one", told - 0.001).allowed
    assert buckets.take("one", told).allowed


def test_keys_are_apart_and_only_so_many_are_remembered():
    buckets = TokenBuckets(1.0, 0, most=3)
    assert all(buckets.take(each, 0.0).allowed for each in "abcde")
    assert len(buckets) == 3
    assert not buckets.take("e", 0.5).allowed
    assert buckets.take("f", 5.0).allowed
    assert len(buckets) == 1


def test_a_request_that_is_given_back_was_never_made():
    buckets = TokenBuckets(2.0, 1)
    first = [buckets.take("one", 0.0).allowed for _ in range(2)]
    buckets.give_back("one")
    assert [*first, buckets.take("one", 0.0).allowed, buckets.take("one", 0.0).allowed] == [True, True, True, False]


@pytest.mark.parametrize("burst", [0, 9])
def test_nobody_who_is_limited_gets_free_however_many_others_come(burst: int):
    """Of more keys than there is room for the most indebted are kept, and what the others owe is not forgotten."""
    buckets = TokenBuckets(1.0, burst, most=1_000)
    while buckets.take("limited", 0.0).allowed:
        pass
    for number in range(50_000):
        buckets.take(f"flood {number}", 0.0)
        if not number % 1_000:
            assert not buckets.take("limited", 0.0).allowed
    assert len(buckets) <= 1_000
    # Those of the flood that were dropped owe what they owed: they get no second burst by it.
    for number in range(0, 50_000, 1_000):
        found = buckets.look(f"flood {number}", 0.0)
        assert found.left < burst or not found.allowed


def test_who_comes_after_a_flood_is_served_when_that_has_had_its_rest():
    buckets = TokenBuckets(1.0, 0, most=1_000)
    for number in range(200_000):
        buckets.take(f"flood {number}", 0.0)
    assert all(buckets.take(f"new {number}", 1.1).allowed for number in range(1_000))


def test_fifty_times_as_many_keys_as_there_is_room_for_take_a_bounded_room():
    buckets = TokenBuckets(1.0, 10, most=2_000)
    tracemalloc.start()
    for number in range(100_000):
        buckets.take(f"2001:db8:{number:x}::", number / 1e5)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(buckets) <= 2_000
    assert size < 1_600_000


def test_the_fullest_are_told_first():
    buckets = TokenBuckets(1.0, 3)
    for key, times in (("one", 1), ("three", 3), ("two", 2)):
        for _ in range(times):
            buckets.take(key, 0.0)
    assert buckets.fullest(2, 0.0) == [("three", 0.75), ("two", 0.5)]
