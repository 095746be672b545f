"""Policies are data with safe defaults."""

import msgspec
import pytest

from meristem.resilience.breaker import BreakerPolicy
from meristem.resilience.policies import Policies


def test_a_placement_overrides_single_values_and_keeps_the_rest():
    policies = msgspec.convert({"breaker": {"ratio": 0.2}, "limiter": {"initial": 64}}, Policies)
    assert policies.breaker == BreakerPolicy(ratio=0.2)
    assert (policies.limiter.initial, policies.bulkhead.limit) == (64, 512)


def test_policies_cannot_be_changed_behind_the_back_of_who_uses_them():
    with pytest.raises(AttributeError):
        Policies().breaker.ratio = 0.1
