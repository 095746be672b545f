"""A lock keeps numbers, is written the same from the same contents, and is refused where it is malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meristem.contracts.protobuf.number_lock import Numbering, ProtoHome, ProtoLock
from meristem.errors import ConfigurationError

words = st.text("abc_", min_size=1, max_size=4)


@given(st.lists(st.lists(words, unique=True, max_size=5), max_size=6))
def test_no_number_is_ever_given_to_two_fields_however_a_message_changes(versions: list[list[str]]):
    numbering, owners = Numbering(), {}
    before: set[str] = set()
    for fields in versions:
        numbers = numbering.assign(fields)
        assert len(set(numbers.values())) == len(fields)
        for name, number in numbers.items():
            if name in before:
                assert number == numbering.numbers[name]
            else:
                assert number not in owners, "a number that was given once"
                owners[number] = name
        numbering, before = numbering.follow(numbers), set(fields)


@pytest.mark.parametrize(
    ("numbering", "following"),
    [
        (Numbering(), 1),
        (Numbering({"a": 3}), 4),
        (Numbering({"a": 1}, {"b": 7}), 8),
        (Numbering({"a": 1}, {"9-11": (9, 11)}), 12),
        (Numbering({"a": 1}, {"5-536870911": (5, 2**29 - 1)}), 2),
        (Numbering({"a": 18_999}), 20_000),
    ],
)
def test_the_next_number_is_past_all_that_were_given_or_are_held_back(numbering: Numbering, following: int):
    assert numbering.assign(["new"]) == {"new": following}


def test_a_lock_is_read_as_it_was_written_and_by_number(tmp_path):
    lock = ProtoLock(
        {"rooms": ProtoHome("rooms.proto", "", (("go_package", 'a "b"'), ("java_multiple_files", True)))},
        {"inn.v1.Room": Numbering({"b": 2, "a": 1}, {"c": 3, "5-7": (5, 7), "d": 0}), "A": Numbering({"x": 1})},
        {"Kind": Numbering({"ZERO": 0, "ALSO": 0, "MINUS": -1})},
    )
    path = tmp_path / "contracts.lock"
    path.write_text(lock.text())

    read = ProtoLock.load(path)

    assert read == lock
    assert read.text() == lock.text()
    assert '[message."inn.v1.Room"]\n-d = 0\na = 1\nb = 2\n-c = 3\n-5-7 = [5, 7]\n' in lock.text()


@pytest.mark.parametrize(
    "text", ["[message.A]\na = 1\nb = 1\n", "[message.A]\na = 'one'\n", "<<<<<<< HEAD\n", "[file.a]\npath = 'a'\n"]
)
def test_a_malformed_lock_is_refused_with_what_to_do(tmp_path, text: str):
    path = tmp_path / "contracts.lock"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match="version control"):
        ProtoLock.load(path)


def test_a_number_that_two_names_shared_is_reserved_once():
    numbering = Numbering({"ZERO": 0}, {"ONE": 1, "ALSO": 1, "5-7": (5, 7), "WITHOUT": 0})

    assert numbering.reserved_ranges() == [(1, 1), (5, 7)]
    assert numbering.reserved_names(numbering.numbers) == ["ALSO", "ONE", "WITHOUT"]
    assert numbering.reserved() == (1, 5, 6, 7)
