"""How a page is looked at: in both schemes and at both sizes every day, in all combinations with `make faults`."""

from __future__ import annotations

import pytest

from tests.suites.sampled import sampled

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
# Colours are a matter of the scheme and what fits one of the size: each of the two pairs of looks has all of both.
PAIRS = [
    [("light", DESK), ("dark", PHONE)],
    [("dark", DESK), ("light", PHONE)],
]

in_every_look = pytest.mark.parametrize(
    ("scheme", "size"),
    [
        pytest.param(scheme, size, id=f"{scheme}-{'desk' if size is DESK else 'phone'}")
        for pair in sampled(PAIRS, 1, "looks of the dashboard")
        for scheme, size in pair
    ],
)
