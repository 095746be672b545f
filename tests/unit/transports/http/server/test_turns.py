"""Senders that never have to wait share the turns of the event loop, each as much as the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from meristem.transports.http.server import turns as module
from meristem.transports.http.server.turns import AT_ONCE, LONGEST, Turns

PART = LONGEST / 10  # seconds that it takes to send one


class Bench:
    """Senders without an end, on a clock that only their sending moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.turns = Turns()
        self.sent: Counter[int] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def send(self, number: int) -> None:
        while True:
            self.now += PART
            self.sent[number] += 1
            await self.turns.give_way()

    async def run(self, senders: int, turns: int) -> list[float]:
        """Let so many send for so many turns of the loop; how long each turn was."""
        self._tasks += [asyncio.create_task(self.send(number)) for number in range(senders)]
        lasted = []
        for _ in range(turns):
            before = self.now
            await asyncio.sleep(0)
            lasted.append(self.now - before)
        return lasted

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def bench(monkeypatch):
    made = Bench()
    monkeypatch.setattr(module, "perf_counter", lambda: made.now)
    yield made
    await made.end()


async def test_who_has_time_left_goes_on_at_once(bench):
    for _ in range(3):
        with pytest.raises(StopIteration):  # it ended without waiting
            bench.turns.give_way().send(None)
        bench.now += LONGEST / 4


async def test_one_sender_has_all_the_time_of_a_turn_and_no_more(bench):
    lasted = await bench.run(1, 50)

    assert max(lasted) <= LONGEST + 2 * PART
    assert bench.sent[0] > 50 * 0.9 * LONGEST / PART  # and it loses none of them by waiting


@pytest.mark.parametrize("senders", [2, 3, 10, 100])
async def test_several_have_as_much_of_it_each(bench, senders):
    await bench.run(senders, 2)
    bench.sent.clear()

    lasted = await bench.run(0, 40 * senders)

    assert max(lasted) <= LONGEST + (AT_ONCE + 1) * PART
    counts = [bench.sent[number] for number in range(senders)]
    assert min(counts) > 0.8 * max(counts)


async def test_one_that_is_cancelled_while_it_waits_holds_up_nobody(bench):
    await bench.run(3, 5)
    for task in bench._tasks[:2]:
        task.cancel()
    bench.sent.clear()

    await bench.run(0, 10)

    assert set(bench.sent) == {2}
    assert bench.sent[2] > 50


async def test_who_sends_now_and_then_waits_for_no_turn(bench):
    for _ in range(20):
        bench.now += 10 * LONGEST
        with pytest.raises(StopIteration):
            bench.turns.give_way().send(None)
        await asyncio.sleep(0)
