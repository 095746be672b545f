"""Processes die at instants that nobody chose, and nothing that was promised is lost: a sample of the crash matrix."""

from __future__ import annotations

import os
from random import Random
from typing import Final

import pytest

from tests.faults.crash.matrix import PROCESSES, SIDES, Matrix
from tests.faults.crash.shim import missing
from tests.faults.crash.trial import Point
from tests.suites.postgresql import require

SEED: Final = os.environ["PARITY_SEED"]  # another sample every day
SEEN: Final = {"socket": 20, "disk": 120}  # points that each process passes on files
DRAWN: Final = 2  # for each process
BUGGY: Final = range(60, 110, 5)

pytestmark = [pytest.mark.skipif(missing() is not None, reason=f"{missing()}"), pytest.mark.timeout(300)]


@pytest.fixture
def matrix(tmp_path, request):
    if request.param == "postgresql":
        require()
    return Matrix(tmp_path, request.param)


@pytest.mark.parametrize("matrix", ["sqlite"], indirect=True)
@pytest.mark.parametrize("process", PROCESSES["sqlite"])
def test_a_process_that_dies_at_any_write_loses_nothing(matrix, process):
    random = Random(f"{SEED} {process}")
    for kind in random.sample(["socket", "disk", "disk"], DRAWN):
        point = Point(process, kind, random.randint(1, SEEN[kind]), random.choice(SIDES))
        died, wrong = matrix.run(point)
        assert not wrong, f"{point}: {wrong}"
        assert died, f"{point} is behind the last one"


@pytest.mark.parametrize("matrix", ["postgresql"], indirect=True)
def test_nor_does_one_whose_data_is_in_postgresql(matrix):
    random = Random(f"{SEED} postgresql")
    for process in PROCESSES["postgresql"]:
        point = Point(process, "socket", random.randint(1, 60), random.choice(SIDES))
        died, wrong = matrix.run(point)
        assert not wrong, f"{point}: {wrong}"
        assert died, f"{point} is behind the last one"


@pytest.mark.parametrize("matrix", ["sqlite"], indirect=True)
def test_an_event_that_is_sent_outside_of_its_transaction_is_found(matrix):
    """The mistake that the matrix is for; were it not found, the tests above would prove nothing."""
    for number in BUGGY:
        _, wrong = matrix.run(Point("front", "disk", number, "after"), bug=True, stuck=6.0)
        if any("was not counted" in each for each in wrong):
            return
    pytest.fail("an order that nobody hears of was not seen at any point")
