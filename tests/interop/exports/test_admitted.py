"""Under a rate limit the edge and nginx let in as many: the burst and what the rate allows in the time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.interop.exports.asked_request import Asked, Theme
from tests.interop.exports.fronts import Front, Ground, edge_front, ground
from tests.interop.exports.nginx_front import missing, nginx_front

NGINX = pytest.param("nginx", marks=pytest.mark.skipif(missing() is not None, reason=str(missing())))
RATE, BURST = 200, 100
DELAYED = f"""
[gateway.limits.visitors]
rate = "{RATE}/s"
burst = {BURST}
delay = true
status = 503
[gateway.routes.all]
limits = ["visitors"]
"""
AT_ONCE = """
[gateway.limits.visitors]
rate = "50/s"
burst = 20
[gateway.routes.all]
limits = ["visitors"]
"""
HEAD = b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
ARRIVALS = Callable[[], list[float]]


@asynccontextmanager
async def counted(kind: str, known: Ground, *, workers: int = 1) -> AsyncIterator[tuple[Front, ARRIVALS]]:
    """A front, and when each request came to it, by its own clock.

    Each worker of nginx has a clock of its own, that stands still while it turns to all that has come meanwhile.
    """
    if kind == "edge":
        came: list[float] = []

        def now() -> float:
            came.append(time.monotonic())
            return came[-1]

        async with edge_front(known, now) as front:
            came.clear()
            yield front, lambda: came
        return
    path = known.folder / "arrivals"
    log = f"log_format arrival '$msec $request_time'; access_log {path} arrival;"
    async with nginx_front(known, workers=workers, log=log) as front:

        def arrivals() -> list[float]:
            lines = map(str.split, path.read_text().splitlines())
            return sorted(float(ended) - float(took) for ended, took in lines)

        yield front, arrivals


def due(arrivals: list[float]) -> int:
    """How many of some arrivals the burst and the rate allow: after a pause the last ones are fewer than might come."""
    allowed, on_time = 0, 0.0
    for at in arrivals:
        if max(on_time, at) - at <= BURST / RATE + 1e-6:
            allowed, on_time = allowed + 1, max(on_time, at) + 1 / RATE
    return allowed


@pytest.mark.parametrize("number", [100, 600, 2000])
@pytest.mark.parametrize("kind", ["edge", NGINX])
async def test_of_many_at_once_those_are_served_that_the_burst_and_the_rate_allow(
    kind: str, number: int, tmp_path: Path
):
    async with ground(Theme("delayed", DELAYED, ()), tmp_path) as known, counted(kind, known) as (front, arrivals):
        clients = [await asyncio.open_connection("127.0.0.1", front.port) for _ in range(number)]
        for _, writer in clients:
            writer.write(HEAD)
        answers = await asyncio.gather(*(reader.read() for reader, _ in clients))
        for _, writer in clients:
            writer.close()
        came = arrivals()
    statuses = Counter(int(each[9:12]) for each in answers)
    allowed = min(number, 1 + BURST + RATE * (came[-1] - came[0]))
    assert len(came) == number
    assert due(came) <= allowed + 1
    assert 0.95 * due(came) <= statuses[200] <= 1.05 * allowed
    assert statuses[200] + statuses[503] == number
    if number == BURST:
        assert statuses == {200: number}


@pytest.mark.parametrize("kind", ["edge", NGINX])
async def test_admitted_are_the_burst_and_the_rate_times_the_time(kind: str, tmp_path: Path):
    async with ground(Theme("at once", AT_ONCE, ()), tmp_path) as known, counted(kind, known, workers=2) as (front, _):
        statuses: Counter[int] = Counter()
        began = time.monotonic()

        async def insist() -> None:
            while time.monotonic() - began < 2.0:
                statuses[(await front.ask(Asked("/", 200))).status] += 1
                await asyncio.sleep(0.003)

        await asyncio.gather(*(insist() for _ in range(4)))
        took = time.monotonic() - began
    assert statuses[200] == pytest.approx(1 + 20 + 50 * took, rel=0.1)
    assert statuses[429] > 2 * statuses[200]
    assert {*statuses} == {200, 429}
