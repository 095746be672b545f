"""The edge of Python answers the transcript as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.exports.asked_request import Theme
from tests.interop.exports.fronts import edge_front, ground, play
from tests.interop.exports.transcript import THEMES


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_each_request_has_the_status_that_the_transcript_tells(theme: Theme, tmp_path: Path):
    async with ground(theme, tmp_path) as known, edge_front(known) as front:
        assert await play(front, theme) == []
