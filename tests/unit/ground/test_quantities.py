"""Times, rates and sizes are written alike wherever somebody writes them."""

from __future__ import annotations

import re

import pytest

from meristem.quantities import RateText, SizeText, TimeText, bytes_of, rate_of, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("10 min", 600),
        ("30m", 1800),
        ("1.5 h", 5400),
        ("90d", 7_776_000),
        ("2w", 1_209_600),
    ],
)
def test_a_time_is_a_number_with_its_unit(text: str, seconds: float):
    assert seconds_of(text) == seconds
    assert fits(TimeText, text)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1 S", "1  s", "1s ", "1s\n", "1e3s", ".5s", "1 month", "1/s", "\u0661s"]
)
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(ValueError, match="is no time: write a number with ms, s, min"):
        seconds_of(text)
    assert not fits(TimeText, text)


@pytest.mark.parametrize(
    ("text", "rate"), [("200/s", (200, 1)), ("30 / min", (30, 60)), ("30/m", (30, 60)), ("0.5/w", (0.5, 604_800))]
)
def test_a_rate_is_a_number_for_a_time(text: str, rate: tuple[float, float]):
    assert rate_of(text) == rate
    assert fits(RateText, text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("500 B", 500), ("64 KiB", 65_536), ("64K", 65_536), ("64kB", 64_000), ("64 KB", 64_000), ("10 MB", 10**7),
     ("512MiB", 1 << 29), ("1.5G", 3 << 29), ("2TB", 2 * 10**12), ("1T", 1 << 40)],
)  # fmt: skip
def test_a_size_is_a_number_with_its_unit(text: str, size: int):
    assert bytes_of(text) == size
    assert fits(SizeText, text)


@pytest.mark.parametrize(
    "text", ["", "10", "MB", "1 mb", "1 Mib", "1 k", "-1 MB", "1,5 GB", "1 PB", "1 MB\n", "9" * 400 + "B"]
)
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match="is no size: write a number with B, KiB"):
        bytes_of(text)
    assert not fits(SizeText, text)


def fits(type_: object, text: str) -> bool:
    """Whether a table takes it."""
    (meta,) = type_.__metadata__  # type: ignore[attr-defined]
    return re.search(meta.pattern, text) is not None
