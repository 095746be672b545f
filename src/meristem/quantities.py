"""Times, rates and sizes as people write them: `10 min`, `200/s`, `64 KiB`, in placements, URLs and commands alike."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

SPANS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
# By SI and IEC 80000-13; a letter alone is a power of 1024, as systemd, Docker and nginx read it.
SIZES: Final = {"B": 1, "kB": 1_000, "KB": 1_000, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    f"{letter}{end}": 1024**power for power, letter in enumerate("KMGT", 1) for end in ("", "iB")
}
_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_TIME: Final = re.compile(rf"({_NUMBER}) ?(ms|s|min|m|h|d|w)")
_RATE: Final = re.compile(rf"({_NUMBER}) ?/ ?(s|min|m|h|d|w)")
_SIZE: Final = re.compile(rf"({_NUMBER}) ?(B|kB|KB|KiB|K|MB|MiB|M|GB|GiB|G|TB|TiB|T)")

TimeText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_TIME.pattern}$(?!\n)", description="a number with its unit, such as 500ms, 10s, 10 min, 1h or 1d"
    ),
]
RateText: TypeAlias = Annotated[
    str,
    Meta(pattern=rf"^{_RATE.pattern}$(?!\n)", description="a number for a time, such as 200/s, 30/min, 1000/h or 5/d"),
]
SizeText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{_SIZE.pattern}$(?!\n)",
        description="a size in bytes with its unit, such as 500 B, 64 KiB, 10 MB or 1.5 GiB",
    ),
]


def seconds_of(text: str) -> float:
    """The seconds of `10 min`; raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time: write a number with ms, s, min, h, d or w behind it")
    return float(found[1]) * SPANS[found[2]]


def rate_of(text: str) -> tuple[float, float]:
    """How many, and in how many seconds: `30/min` is (30, 60); raises ValueError for what is no rate above zero."""
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is no rate above zero: write a number and for what time, such as 200/s or 30/min")
    return float(found[1]), SPANS[found[2]]


def bytes_of(text: str) -> int:
    """The bytes of `10 MB`, whole ones; raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size: write a number with B, KiB, MiB, GiB, kB, MB or GB behind it")
    return int(float(found[1]) * SIZES[found[2]])
