"""The values of a body are counted exactly as far as the limit, whatever stands in its strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meristem.contracts import counting
from meristem.contracts.counting import bound_values, fields_in, values_in
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
    bound_values(body, 2)
    with pytest.raises(CallError, match="more than 1 values") as raised:
        bound_values(body, 1)
    assert (raised.value.code, raised.value.may_have_happened) == (Code.RESOURCE_EXHAUSTED, False)


@pytest.mark.parametrize(
    "broken", [b'"' * 999, b"\\" * 999, b'"\\' * 999, b"[" * 999, b'{"a":' * 999, b"]" * 999, b"\0" * 999]
)
def test_what_is_no_json_is_counted_without_a_fault(broken):
    assert values_in(broken, 10) >= 1


PAIR = {1: {2: 1}, 3: 8}


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


def test_the_count_of_a_protobuf_message_stops_beyond_the_limit():
    assert fields_in(b"\x0a\x00" * 1000, PAIR, 10) == 11
