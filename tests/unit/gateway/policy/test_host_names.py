"""Which hosts a pattern stands for, and which patterns it covers."""

from __future__ import annotations

from meristem.gateway.policy.host_names import covers


def test_a_host_is_covered_by_itself_and_by_the_ends_of_it():
    assert covers("*.shop.example", "a.shop.example")
    assert covers("*.shop.example", "*.a.shop.example")
    assert covers("*.shop.example", "*.shop.example")
    assert covers("*.Shop.example", "A.shop.example")
    assert not covers("*.shop.example", "shop.example")
    assert not covers("*.shop.example", "evilshop.example")
    assert not covers("*.a.shop.example", "*.shop.example")
    assert not covers("shop.example", "*")


def test_a_single_host_covers_no_pattern_whatever_it_is_called():
    for name in ("any", "a", "www"):
        assert not covers(f"{name}.shop.example", "*.shop.example")
