"""Periodic work goes on whatever one run of it does."""

import asyncio
import logging

import pytest

from meristem import Service, System, WiringError, every
from meristem.context import current
from meristem.services.schedule import Schedule, needs_lease, scheduled
from meristem.testing import ManualClock, running


class Sweeper:
    def __init__(self) -> None:
        self.runs: asyncio.Queue[str | None] = asyncio.Queue()
        self.fail = False

    @every(seconds=60)
    async def sweep(self) -> None:
        self.runs.put_nowait(current().caller)
        if self.fail:
            raise RuntimeError("the broom breaks")


async def test_a_job_runs_again_and_again_in_the_name_of_its_service():
    sweeper, clock = Sweeper(), ManualClock()
    schedule = Schedule("cleaning", sweeper, clock, None)
    await schedule.start()
    try:
        await clock.sleeping()
        await clock.advance(60)
        assert await sweeper.runs.get() == "cleaning"
        await clock.sleeping()
        await clock.advance(60)
        assert await sweeper.runs.get() == "cleaning"
    finally:
        await schedule.stop()


async def test_a_run_that_fails_is_logged_and_the_next_is_made(caplog):
    sweeper, clock = Sweeper(), ManualClock()
    sweeper.fail = True
    schedule = Schedule("cleaning", sweeper, clock, None)
    await schedule.start()
    try:
        for _ in range(2):
            await clock.sleeping()
            await clock.advance(60)
            await sweeper.runs.get()
    finally:
        await schedule.stop()

    assert "cleaning.sweep failed; it runs again in 60 s" in caplog.text
    assert [record.levelno for record in caplog.records][:1] == [logging.ERROR]


class Learner:
    def __init__(self) -> None:
        self.fail = True
        self.runs = 0

    @every(seconds=2, each=True)
    async def learn(self) -> None:
        self.runs += 1
        if self.fail:
            raise RuntimeError("the book is closed")


async def test_what_fails_again_and_again_is_tried_ever_less_often_and_a_minute_apart_at_most():
    learner, clock = Learner(), ManualClock()
    schedule = Schedule("school", learner, clock, None)
    await schedule.start()
    try:
        for wait in (2, 2, 4, 8, 16, 32, 60, 60):  # the first one before the first run
            await clock.sleeping()
            before = learner.runs
            await clock.advance(wait - 0.5)
            assert learner.runs == before
            await clock.advance(0.5)
            assert learner.runs == before + 1
        learner.fail = False
        await clock.sleeping()
        await clock.advance(60)
        for _ in range(2):  # a run that succeeds ends the count
            await clock.sleeping()
            await clock.advance(2)
    finally:
        await schedule.stop()

    assert learner.runs == 8 + 3


def test_what_cannot_be_a_job_is_refused_with_the_form_it_must_have():
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(WiringError, match=r"Wrong\.sweep: seconds = .*; give more than 0 seconds"):

            class Wrong:
                @every(seconds=wrong)
                async def sweep(self) -> None: ...

    with pytest.raises(WiringError, match=r"it must be `async def work\(self\) -> None`"):

        class Wrong:
            @every(seconds=1)
            async def work(self, more: int) -> None: ...


def test_jobs_are_found_with_their_intervals():
    assert scheduled(Sweeper) == {"sweep": (60, False)}


class Duties:
    """A lease that says who may."""

    def __init__(self) -> None:
        self.mine = False
        self.asked: list[str] = []
        self.freed = []
        self.inherited = False

    async def inherit(self, duty):
        return self.inherited

    async def run_alone(self, duty, work):
        self.asked.append(duty)
        if self.mine:
            await work()


class Guard(Sweeper):
    @every(seconds=60, each=True)
    async def watch(self) -> None:
        self.runs.put_nowait("watched")


async def test_a_method_runs_where_its_duty_is_and_one_for_each_replica_everywhere():
    guard, clock, duties = Guard(), ManualClock(), Duties()
    schedule = Schedule("cleaning", guard, clock, duties)
    await schedule.start()
    try:
        for _ in range(2):
            await clock.sleeping(2)
            await clock.advance(60)
        assert [guard.runs.get_nowait() for _ in range(guard.runs.qsize())] == ["watched", "watched"]
        duties.mine = True
        await clock.sleeping(2)
        await clock.advance(60)
        assert sorted(guard.runs.get_nowait() for _ in range(guard.runs.qsize())) == ["cleaning", "watched"]
        assert duties.asked == ["cleaning.sweep"] * 3
    finally:
        await schedule.stop()


async def test_the_duty_of_a_replica_that_died_is_done_at_once_and_no_other_before_its_time():
    guard, clock, duties = Guard(), ManualClock(), Duties()
    duties.mine = True
    schedule = Schedule("cleaning", guard, clock, duties)
    await schedule.start()
    try:
        await clock.sleeping(2)
        duties.inherited = True
        for told in duties.freed:
            told()
        assert await guard.runs.get() == "cleaning"
        await clock.sleeping(2)
        duties.inherited = False  # another replica has died, which had none of these
        for told in duties.freed:
            told()
        await clock.advance(59)
        assert guard.runs.empty()
        await clock.advance(1)
        assert {await guard.runs.get(), await guard.runs.get()} == {"watched", "cleaning"}
    finally:
        await schedule.stop()
    assert duties.freed == []


def test_a_lease_is_needed_for_what_one_replica_does():
    class Watch:
        @every(seconds=60, each=True)
        async def watch(self) -> None: ...

    assert needs_lease(Guard)
    assert not needs_lease(Watch)


class Slow(Sweeper):
    """A run of it takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.began, self.ended = asyncio.Event(), asyncio.Event(), 0

    @every(seconds=60)
    async def mow(self) -> None:
        self.began.set()
        await self.go.wait()
        self.ended += 1

    @every(seconds=90)
    async def sweep(self) -> None:
        self.runs.put_nowait("swept")


async def test_a_drain_lets_a_run_end_and_begins_none():
    slow, clock = Slow(), ManualClock()
    schedule = Schedule("garden", slow, clock, None)
    await schedule.start()
    try:
        await clock.sleeping(2)
        await clock.advance(60)
        await slow.began.wait()
        draining = asyncio.create_task(schedule.drain())
        await clock.advance(600)  # and what would be due by then is not begun
        assert not draining.done()
        slow.go.set()
        async with asyncio.timeout(60):
            await draining
        assert slow.ended == 1
    finally:
        await schedule.stop()
    assert slow.runs.empty()


async def test_a_drain_does_not_wait_for_a_run_that_does_not_end(monkeypatch, caplog):
    monkeypatch.setattr("meristem.services.schedule._GRACE", 0.01)
    slow, clock = Slow(), ManualClock()
    schedule = Schedule("garden", slow, clock, None)
    await schedule.start()
    await clock.sleeping(2)
    await clock.advance(60)
    await slow.began.wait()
    async with asyncio.timeout(60):
        await schedule.drain()
    assert "garden.mow has not ended" in caplog.text
    await schedule.stop()
    assert slow.ended == 0


class Mowing(Service):
    @every(seconds=60, each=True)
    async def mow(self) -> None: ...


class Watering(Service):
    @every(seconds=60, each=True)
    async def water(self) -> None: ...


async def test_the_services_of_a_process_wait_for_their_runs_side_by_side(monkeypatch: pytest.MonkeyPatch):
    """One after the other they would outlast the process."""
    draining = asyncio.Barrier(2)

    async def drain(_: Schedule) -> None:
        await draining.wait()

    monkeypatch.setattr(Schedule, "drain", drain)
    async with asyncio.timeout(60):
        async with running(System("garden", services=[Mowing, Watering])):
            pass
