"""A token bucket admits its burst and then the rate, never more; it forgets what is full again."""

from __future__ import annotations

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
