"""A process killed between any two instructions loses nothing: each effect once, and the end complete or undone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suites.sampled import sampled

PROGRAM = Path(__file__).with_name("crash_program.py")
ENDS = {
    "fine": (["hold", "charge"], [1, 2], "done"),
    "declined": (["hold", "release"], [1, -1], "failed"),
    "uncertain": (["hold", "charge", "refund", "release"], [1, -1], "failed"),
    "bug": (["hold", "charge", "refund", "release"], [1, 2, -2, -1], "failed"),
    "own first": (["charge", "hold"], [1, 2], "done"),
    "own first, bug": (["charge", "hold", "refund"], [1, 2, -2, -1], "failed"),
}
UNSTORED = {"own first": 3, "own first, bug": 3}  # boundaries before the saga's first commit, twice within its step


@pytest.mark.timeout(300)
@pytest.mark.parametrize("variant", sampled(ENDS, 2, "sagas killed"))
def test_killed_at_every_boundary_and_once_more_while_it_resumes(tmp_path, variant):
    effects, notes, state = ENDS[variant]
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), variant], capture_output=True, text=True, timeout=280, check=False
    )
    reports = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr
    assert len(reports) > 15
    begun = [report for report in reports if report["states"]]
    unbegun = [report for report in reports if not report["states"]]
    assert len(reports) - len(begun) == UNSTORED.get(variant, 1)  # killed before the saga was stored: its caller knows
    assert all(report["effects"] == report["notes"] == [] for report in unbegun)
    for report in begun:
        assert (report["effects"], report["notes"], report["states"]) == (effects, notes, [state]), report
        assert report["last"] == 0, report
    assert -signal.SIGKILL in {report["again"] for report in reports}
