"""What a caller from outside is told of a failure below: a sentence, and what it can do about it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from meristem.contracts.operation import Semantics
from meristem.contracts.undeclared import withheld
from meristem.errors import CallError, Code

ONCE = "It may have been done: try again under the same idempotency key, which gives the answer of the first"
PASSING = [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED]


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize(
    ("semantics", "happened", "advice"),
    [
        (Semantics.SAFE, True, "Try again"),
        (Semantics.IDEMPOTENT, True, "Try again"),
        (Semantics.ONCE, True, ONCE),
        (Semantics.PLAIN, True, "It may have been done: look before you try again"),
        *((each, False, "Nothing was done: try again") for each in Semantics),
    ],
)
def test_a_failure_that_passes_says_whether_and_how_to_repeat_the_call(code, semantics, happened, advice):
    operation = SimpleNamespace(label="Rooms.book", semantics=semantics)
    told = withheld(operation, CallError(code, "10.0.0.7 refused", may_have_happened=happened, private=True))

    assert told.message == f"Rooms.book failed; the log says why. {advice}"
    assert (told.code, told.may_have_happened) == (code, happened)


def test_one_that_does_not_pass_gives_no_hope():
    operation = SimpleNamespace(label="Rooms.book", semantics=Semantics.ONCE)
    told = withheld(operation, CallError(Code.PERMISSION_DENIED, "not you", private=True))
    assert told.message == "Rooms.book failed; the log says why"


def test_the_answer_of_a_service_stays_one_outside():
    """`connect()` repeats it no more than a client inside."""
    operation = SimpleNamespace(label="Rooms.book", semantics=Semantics.SAFE)
    below = CallError(Code.UNAVAILABLE, "10.0.0.7 refused", private=True)

    assert withheld(operation, below.passed_on()).from_service
    assert not withheld(operation, below).from_service
