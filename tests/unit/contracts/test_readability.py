"""What the check takes for readable is what a reader reads: each pair of types, by its JSON."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest

from meristem.contracts.codec import decoder, encode
from meristem.contracts.evolution.readability import reads, within

SAMPLES: dict[Any, Any] = {
    bool: True, int: 7, float: 1.5, str: "no date", bytes: b"\xff\xfe\xfd", Decimal: Decimal("12.50"),
    UUID: UUID(int=7), date: date(2030, 1, 31), time: time(12, 30), timedelta: timedelta(seconds=90),
    datetime: datetime(2030, 1, 31, 12, tzinfo=UTC),
    list[int]: [1, 2], set[int]: {1, 2}, frozenset[int]: frozenset({1, 2}), tuple[int, ...]: (1, 2),
    dict[str, int]: {"a": 1},
}  # fmt: skip


def name(type_: Any) -> str:
    return type_.__name__


@pytest.mark.parametrize(("written", "read"), list(product(SAMPLES, repeat=2)), ids=str)
def test_one_type_is_read_as_another_where_the_check_says_so(written, read):
    try:
        decoder(read)(encode(SAMPLES[written]))
        is_read = True
    except msgspec.ValidationError:
        is_read = False

    assert reads(name(written), name(read)) == is_read


@pytest.mark.parametrize(
    ("written", "read", "fits"),
    [
        ({}, {}, True),
        ({"ge": 1}, {}, True),
        ({}, {"ge": 1}, False),
        ({"ge": 1, "le": 9}, {"ge": 0, "le": 9}, True),
        ({"gt": 0}, {"ge": 0}, True),
        ({"ge": 0}, {"gt": 0}, False),
        ({"lt": 9}, {"le": 9}, True),
        ({"le": 9}, {"lt": 9}, False),
        ({"le": 10}, {"le": 9}, False),
        ({"min_length": 2, "max_length": 4}, {"min_length": 1, "max_length": 5}, True),
        ({"max_length": 6}, {"max_length": 5}, False),
        ({"multiple_of": 6}, {"multiple_of": 3}, True),
        ({"multiple_of": 4}, {"multiple_of": 3}, False),
        ({}, {"multiple_of": 3}, False),
        ({"pattern": "a"}, {}, True),
        ({"pattern": "a"}, {"pattern": "b"}, False),
        ({"pattern": "a$"}, {"pattern": r"a$(?!\n)"}, True),  # nobody is promised a line feed behind the end
        ({"tz": True}, {}, True),
        ({}, {"tz": True}, False),
        ({"max_digits": 5, "decimal_places": 2}, {"max_digits": 6, "decimal_places": 2}, True),
        ({"decimal_places": 3}, {"decimal_places": 2}, False),
    ],
)
def test_bounds_hold_whatever_is_within_them(written, read, fits):
    assert within(written, read) is fits
