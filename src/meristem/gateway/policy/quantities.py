"""Quantities as a policy writes them: `200/s` and `30/min` are rates, `10 min` is a time."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

UNITS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min|h|d)")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?) ?/ ?(s|min|h|d)")

RateText: TypeAlias = Annotated[
    str,
    Meta(pattern=rf"^{_RATE.pattern}$(?!\n)", description="a number for a time, such as 200/s, 30/min, 1000/h or 5/d"),
]
TimeText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_TIME.pattern}$(?!\n)", description="a number with its unit, such as 500ms, 10s, 10 min, 1h or 1d"
    ),
]


def seconds_of(text: str) -> float:
    """The seconds of `10 min`; raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time: write a number with ms, s, min, h or d behind it")
    return float(found[1]) * UNITS[found[2]]


def rate_of(text: str) -> tuple[float, float]:
    """How many, and in how many seconds: `30/min` is (30, 60); raises ValueError for what is no rate above zero."""
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is no rate above zero: write a number and for what time, such as 200/s or 30/min")
    return float(found[1]), UNITS[found[2]]
