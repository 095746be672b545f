"""nginx with what is exported for it answers the transcript as the edge does."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.exports.asked_request import Theme
from tests.interop.exports.fronts import edge_front, ground, play
from tests.interop.exports.maze import maze, told
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


async def test_whatever_a_target_is_made_of_it_is_on_the_same_route_or_refused(tmp_path: Path):
    """nginx refuses by itself what leads above the root."""
    theme = maze()
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(ground(theme, tmp_path))
        edge = await stack.enter_async_context(edge_front(known))
        nginx = await stack.enter_async_context(nginx_front(known))
        statuses: Counter[int] = Counter()
        for asked in theme.asked:
            there, here = await asyncio.gather(edge.ask(asked), nginx.ask(asked))
            statuses[here.status] += 1
            if here.status == 400 and ("." in asked.target or "%2e" in asked.target) and there.status != 400:
                continue
            assert told(here) == told(there), asked
    assert {*statuses} == {200, 301, 302, 307, 400, 403, 421}
