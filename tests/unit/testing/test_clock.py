"""Time that a test moves."""

import asyncio
from datetime import UTC, datetime

from meristem.clock import SteadyTime, SystemClock
from meristem.testing import ManualClock


async def test_time_stands_still_until_it_is_advanced():
    clock = ManualClock()
    before = clock.now()
    await clock.advance(90)
    assert (clock.now() - before).total_seconds() == 90


async def test_sleepers_wake_in_the_order_of_their_times_and_see_the_time_they_asked_for():
    clock, woken = ManualClock(), []
    start = clock.now()

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, (clock.now() - start).total_seconds()))

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20, 60):
            group.create_task(sleeper(seconds))
        await clock.sleeping(4)
        await clock.advance(30)
        assert woken == [(10, 10), (20, 20), (30, 30)]
        assert clock.sleepers == 1
        await clock.advance(30)
    assert woken[-1] == (60, 60)


async def test_who_wakes_and_sleeps_again_is_woken_again_by_the_same_advance():
    clock, beats = ManualClock(), []

    async def heart():
        while True:
            await clock.sleep(10)
            beats.append(clock.now())

    task = asyncio.create_task(heart())
    await clock.sleeping()
    await clock.advance(35)
    assert len(beats) == 3
    task.cancel()


async def test_a_cancelled_sleeper_is_forgotten():
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.sleeping()
    task.cancel()
    await asyncio.wait([task])
    assert clock.sleepers == 0
    await clock.advance(20)


async def test_a_wait_shorter_than_the_clock_can_tell_still_ends_later():
    """Else who waits until a moment between two ticks would wake for ever, and `advance` would never end."""
    clock = ManualClock()
    until = clock.now().timestamp() + 0.1270454

    async def wait():
        while (remaining := until - clock.now().timestamp()) > 0:
            await clock.sleep(remaining)

    async with asyncio.timeout(10):
        waiter = asyncio.create_task(wait())
        await clock.sleeping()
        await clock.advance(1)
        await waiter


async def test_a_sleep_counts_from_its_call_however_late_its_task_begins():
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await clock.advance(10)
    assert sleeper.done()


async def test_a_step_sets_the_time_of_day_and_no_time_passes():
    clock = ManualClock()
    before, sleeper = clock.now(), asyncio.create_task(clock.sleep(10))
    for seconds in (3600, -7200):
        clock.step(seconds)
        await clock.advance(0)
    assert (clock.now() - before).total_seconds() == -3600
    assert clock.steady() == 0.0
    assert not sleeper.done()
    await clock.advance(10)
    assert sleeper.done()
    assert clock.steady() == 10.0


async def test_steady_time_goes_on_from_what_the_clock_showed_at_first():
    clock = ManualClock()
    before, time = clock.now(), SteadyTime(clock)
    clock.step(3600)
    await clock.advance(10)
    assert (time.now() - before).total_seconds() == 10
    assert time.earlier() == time.now()
    clock.step(-7200)
    assert time.earlier() == clock.now() < time.now()


def test_the_time_of_the_machine_passes_while_its_time_of_day_is_whatever_it_is(monkeypatch):
    clock = SystemClock()
    first = clock.steady()
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime(1970, 1, 1, tzinfo=UTC))
    assert 0.0 <= first <= clock.steady()
