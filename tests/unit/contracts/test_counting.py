"""The values of a body are counted exactly as far as the limit, whatever stands in its strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meristem.contracts import counting
from meristem.contracts.counting import ESCAPES, TEXT, WIDE, bound_values, fields_in, text_in, values_in
from meristem.errors import CallError, Code

LEAVES = st.none() | st.booleans() | st.integers() | st.text('",[]{}\\ab:\n') | st.floats(allow_nan=False)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text('",[\\{a'), inner))


def counted(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(counted(each) for each in inner)


@given(VALUES, st.sampled_from([3, 4, 7, 256]))
def test_every_value_is_counted_and_nothing_in_strings(value, size):
    text = json.dumps(value, separators=(",", ":")).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SLICE", size)
        assert values_in(text, counted(value)) == counted(value)
        assert values_in(text, counted(value) - 1) > counted(value) - 1


def test_text_full_of_commas_is_one_value():
    body = b'{"text":"' + rb"a,b\",[{\\" * 100_000 + b'"}'
    assert values_in(body, 10) == 2


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        (b"a" * 64_000, 0),
        (rb"\n" * 64_000, 64_000 / ESCAPES),
        (rb"\\" * 64_000, 64_000 / ESCAPES),
        (rb"\"" * 64_000, 64_000 / ESCAPES),
        ("é".encode() * 64_000, 128_000 / WIDE),
        ("😀".encode() + b"a" * 127_996, 128_000 / WIDE),
        (b"a" * 127_996 + "😀".encode(), 128_000 / WIDE),
        (rb"\u0041" * 64_000, 6 * 64_000 / WIDE + 64_000 / ESCAPES),
        (b'a","' * 64_000 + "é".encode() * 64_000, 128_000 / WIDE),
        ("é".encode() + rb"a\"" * 64_000, 64_000 / WIDE + 64_000 / ESCAPES),
    ],
)
@pytest.mark.parametrize("size", [3, 4, 1000])
def test_text_counts_by_its_escapes_and_by_strings_that_are_not_ascii(text, cost, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SLICE", size)
        body = b'{"text":"' + text + b'"}'
        assert text_in(body, len(body)) == pytest.approx(cost, abs=size / WIDE + 2)
        assert text_in(body, 10) >= min(11, cost)


def test_a_body_whose_values_and_text_count_for_too_much_is_refused_and_told_why():
    body = b'{"text":"' + rb"\n" * (ESCAPES * 100) + b'"}'
    bound_values(body, 102)
    with pytest.raises(CallError, match="more than 101 values, as one of which 64 escapes") as raised:
        bound_values(body, 101)
    assert (raised.value.code, raised.value.may_have_happened) == (Code.INVALID_ARGUMENT, False)


@pytest.mark.parametrize(
    "broken", [b'"' * 999, b"\\" * 999, b'"\\' * 999, b"[" * 999, b'{"a":' * 999, b"]" * 999, b"\0" * 999]
)
def test_what_is_no_json_is_counted_without_a_fault(broken):
    assert values_in(broken, 10) >= 1


PAIR = {1: {2: 1}, 3: 8}
PLACES = {1: 1}


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"", 0),
        (b"\x08\x01", 1),
        (b"\x08\xff\xff\x01\x10\x01", 2),
        (b"\x0a\x00\x0a\x00", 2),
        (b"\x0a\x02\x08\x01", 2),
        (b"\x0a\x05\x12\x03\x01\x01\x01", 5),
        (b"\x1a\x10" + bytes(16), 3),
        (b"\x22\x04\x0a\x00\x0a\x00", 1),  # of another number: nobody looks inside
        (b"\x0d\0\0\0\0\x09" + bytes(8), 2),
        (b"\x0b\x08\x01\x0c", 3),
        (b"\x08", 1),
        (b"\x0a\xff", 1),
        (b"\xff" * 20, 0),
    ],
)
def test_the_values_of_a_protobuf_message_are_counted_with_those_inside(body, count):
    assert fields_in(body, PAIR, 100) == count


@pytest.mark.parametrize("number", [b"\x01", b"\xff\x7f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"])
def test_numbers_of_any_length_in_a_packed_list_are_counted_one_by_one(number):
    packed = number * 12
    body = b"\x0a" + bytes((len(packed),)) + packed

    assert fields_in(body, PLACES, 100) == 13
    assert fields_in(body, PLACES, 10) > 10


@pytest.mark.parametrize(("text", "count"), [(b"a" * 1000, 1), ("é".encode() * 500, 1 + 1000 // WIDE)])
def test_text_of_a_protobuf_message_counts_where_it_is_not_ascii(text, count):
    body = b"\x0a\xe8\x07" + text

    assert fields_in(body, {1: TEXT}, 100) == count
    assert fields_in(body, {}, 100) == 1  # bytes, or a field that nobody knows


def test_a_packed_list_that_must_be_too_long_is_not_looked_through():
    assert fields_in(b"\x0a\x7f" + b"\xff" * 127, PLACES, 10) == 12


def test_the_count_of_a_protobuf_message_stops_beyond_the_limit():
    assert fields_in(b"\x0a\x00" * 1000, PAIR, 10) == 11


def test_the_most_that_text_can_count_for_is_never_less_than_it_counts_for():
    for text in (b"a" * 400_000, rb"\\" * 200_000, rb"\n" * 200_000, rb"\u00e9" * 60_000, "é".encode() * 200_000):
        body = b'{"text":"' + text + b'"}'
        assert counting._most_text_in(body, len(body)) >= text_in(body, len(body))
