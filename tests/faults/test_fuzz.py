"""Malformed requests against a real process: each is answered or ended in time, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

from .fuzz import fuzz


def test_two_thousand_malformed_requests_hang_nothing_break_nothing_and_leave_no_memory(tmp_path: Path):
    seen = fuzz(tmp_path, seed=1, last=2000, seconds=90.0)

    assert seen.sent == 2000
    assert seen.sound, seen
