"""Times and attempts that cannot be meant are refused where they are written."""

import re

import pytest

from meristem import Flow, MisuseError, saga
from meristem.sagas.policy import Backoff, SagaPolicy


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scan": 0}, "scan = 0; give more than 0 seconds"),
        ({"scan": float("nan")}, "scan = nan; give more than 0 seconds"),
        ({"bug_attempts": 0}, "bug_attempts = 0; give at least 1"),
        ({"retention": "30d"}, "retention = '30d': expected `float`, got `str`"),
    ],
)
def test_a_policy_of_the_engine_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(MisuseError, match=re.escape(f"Policy: {said}")):
        SagaPolicy(**wrong)


def test_pauses_that_make_no_sense_are_refused():
    with pytest.raises(MisuseError, match=r"Backoff: attempts = 0; give at least 1"):
        Backoff(base=0.1, cap=1.0, attempts=0)
    with pytest.raises(MisuseError, match=r"Backoff: base = 2.0 is above cap = 1.0; give base <= cap"):
        Backoff(base=2.0, cap=1.0)


@pytest.mark.parametrize("patience", [-1.0, float("nan"), float("inf")])
def test_patience_that_cannot_be_is_refused_with_the_name_of_the_saga(patience):
    with pytest.raises(MisuseError, match=r"Wrong\.book, @saga: patience = .*; give 0 seconds or more"):

        class Wrong:
            @saga(patience=patience)
            async def book(self, flow: Flow) -> None: ...
