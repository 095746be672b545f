"""How a page is looked at: in both schemes and at both sizes every day, in all combinations with `make faults`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.suites.sampled import sampled

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
# Colours are a matter of the scheme and what fits one of the size: each of the two pairs of looks has all of both.
PAIRS = [
    [("light", DESK), ("dark", PHONE)],
    [("dark", DESK), ("light", PHONE)],
]


def name_of(scheme: str, size: dict[str, int]) -> str:
    return f"{scheme}-{'desk' if size is DESK else 'phone'}"


in_every_look = pytest.mark.parametrize(
    ("scheme", "size"),
    [
        pytest.param(scheme, size, id=name_of(scheme, size))
        for pair in sampled(PAIRS, 1, "looks of the dashboard")
        for scheme, size in pair
    ],
)


def in_a_look_each(pages: Iterable[str], most: int) -> pytest.MarkDecorator:
    """Some pages in one look each every day, where each costs a second; with `make faults` all of them in all looks."""
    looks = [look for pair in PAIRS for look in pair]
    return pytest.mark.parametrize(
        ("name", "scheme", "size"),
        [
            pytest.param(name, scheme, size, id=f"{name}-{name_of(scheme, size)}")
            for name in sampled(pages, most, "pages of a whole run")
            for scheme, size in sampled(looks, 1, f"look of {name}")
        ],
    )
