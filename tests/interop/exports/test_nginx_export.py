"""nginx with what is exported for it answers the transcript as the edge does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.exports.asked_request import Theme
from tests.interop.exports.fronts import ground, play
from tests.interop.exports.nginx_front import missing, nginx_front
from tests.interop.exports.transcript import THEMES

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_each_request_has_the_status_that_the_transcript_tells(theme: Theme, tmp_path: Path):
    async with ground(theme, tmp_path) as known, nginx_front(known) as front:
        wrong = await play(front, theme)
        log = (known.folder / "nginx" / "error.log").read_text()
        assert wrong == [], "\n".join([*wrong, log])
        assert "failed to run" not in log, log
        assert "thread aborted" not in log, log
