"""A scheduled method that ends its process each time is skipped after five ends, and no other is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import select

from meristem import every
from meristem.services import method_trials
from meristem.services.crash_files import CrashFiles
from meristem.services.facts import RunSkipped
from meristem.services.method_trials import DEADLY, MethodTrials, RunCounts
from meristem.services.schedule import Schedule, Tallies
from meristem.storage.database import Database, database_for
from meristem.storage.duty_crashes import DutyCrashes
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import DUTIES, SCHEMA
from meristem.testing import ManualClock
from tests.suites.postgresql import schema_of_its_own

DUTY = "garden.sweep"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_trials, "QUIET", 0.001)


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database]:
    async with schema_of_its_own() if kind == "postgresql" else nullcontext(f"sqlite:///{folder}/garden.db") as url:
        database = database_for(url, name="garden")
        await database.start()
        await database.upgrade([SCHEMA])
        yield database
        await database.stop()


class Life:
    """One process of a replica, whose end leaves what it had counted."""

    def __init__(self, counts: RunCounts, lease: Lease | None = None) -> None:
        self.counts = counts
        self.lease = lease
        self.trials = MethodTrials("garden", asyncio.Lock())
        self.skipped: list[RunSkipped] = []
        self.trials.observers.append(self.skipped.append)
        self.runs = 0

    async def work(self) -> None:
        self.runs += 1

    async def time_comes(self) -> None:
        if self.lease is None:
            await self.trials.run(DUTY, self.counts, self.work)
        else:
            await self.lease.run_alone(DUTY, lambda: self.trials.run(DUTY, self.counts, self.work))

    async def ends_within(self) -> None:
        """The process ends while the method runs."""
        began = asyncio.Event()

        async def die() -> None:
            began.set()
            await asyncio.Event().wait()

        self.work = die  # type: ignore[method-assign]
        kept, self.counts.count = self.counts.count, _only_more(self.counts)  # type: ignore[method-assign]
        run = asyncio.create_task(self.time_comes())
        came = asyncio.create_task(began.wait())
        await asyncio.wait({run, came}, return_when=asyncio.FIRST_COMPLETED)
        came.cancel()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        self.counts.count = kept  # type: ignore[method-assign]


def _only_more(counts: RunCounts):
    """What a process that has ended writes down: nothing that comes after the end."""
    count = counts.count

    async def more(duty: str, crashes: int) -> None:
        if crashes:
            await count(duty, crashes)

    return more


class Place:
    """Where the processes of one replica follow one another; each leaves its lease as a killed one does."""

    def __init__(self, database: Database | None, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.leases: list[Lease] = []

    async def life(self) -> Life:
        if self.database is None:
            return Life(CrashFiles(self.folder))
        lease = Lease(self.database, "main-0/garden", renewal=60.0)
        await lease.start()
        self.leases.append(lease)
        return Life(DutyCrashes(self.database, lease), lease)


@pytest.fixture(params=["sqlite", "postgresql", "files"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    kind = request.param
    async with nullcontext() if kind == "files" else opened(kind, tmp_path) as database:
        there = Place(database, tmp_path / "crashes")
        yield there
        for each in there.leases:
            await each.stop()


async def ended_times(place: Place, times: int) -> None:
    for _ in range(times):
        await (await place.life()).ends_within()


async def test_after_five_ends_within_it_a_method_is_skipped_and_said_to_be(place, caplog):
    await ended_times(place, DEADLY)
    life = await place.life()
    await life.trials.recall(DUTY, life.counts)

    assert life.trials.problems[0].startswith("garden.sweep is not run any more: its process ended 5 times in a row")
    await life.time_comes()
    await life.time_comes()
    assert life.runs == 0
    assert life.skipped == [RunSkipped("garden", "sweep")] * 2
    assert caplog.text.count("is not run any more") == 1


@pytest.mark.parametrize("before", range(DEADLY))
async def test_a_run_that_is_survived_clears_what_was_counted(place, before):
    await ended_times(place, before)
    life = await place.life()
    await life.time_comes()

    assert life.runs == 1
    assert await life.counts.crashes(DUTY) == 0
    assert life.counts.is_trusted(DUTY)
    assert life.trials.problems == []


async def test_a_run_that_fails_is_survived_as_well(place):
    await ended_times(place, 2)
    life = await place.life()

    async def fail() -> None:
        raise RuntimeError("the broom breaks")

    life.work = fail
    with pytest.raises(RuntimeError):
        await life.time_comes()
    assert await life.counts.crashes(DUTY) == 0


async def test_a_process_that_ends_between_two_runs_or_before_a_trial_counts_for_nothing(place, monkeypatch):
    await ended_times(place, 2)
    monkeypatch.setattr(method_trials, "QUIET", 60.0)
    for _ in range(DEADLY):  # killed during the pause
        life = await place.life()
        pause = asyncio.create_task(life.time_comes())
        await asyncio.sleep(0.05)
        pause.cancel()
        await asyncio.gather(pause, return_exceptions=True)
    assert await (await place.life()).counts.crashes(DUTY) == 2


async def test_a_stop_in_order_has_what_starts_next_try_once_more(place):
    await ended_times(place, DEADLY)
    life = await place.life()
    await life.time_comes()
    await life.trials.stop()

    await ended_times(place, 1)  # it has not been mended
    life = await place.life()
    await life.time_comes()
    assert life.skipped
    await life.trials.stop()

    life = await place.life()
    await life.time_comes()  # and now it has
    assert (life.runs, life.trials.problems) == (1, [])


async def test_a_run_that_goes_on_is_counted_no_more_when_another_one_takes_the_turn(place, monkeypatch):
    await ended_times(place, 2)
    monkeypatch.setattr(method_trials, "ALONE", 0.05)
    life = await place.life()
    turn, over = life.trials._turn, asyncio.Event()
    life.work = over.wait
    run = asyncio.create_task(life.time_comes())
    while not turn.locked():
        await asyncio.sleep(0.01)
    await turn.acquire()  # an event on trial
    while await life.counts.crashes(DUTY):
        await asyncio.sleep(0.01)
    over.set()
    await run
    assert turn.locked()  # the event's


async def test_a_drain_ends_the_pause_before_a_trial(place, monkeypatch):
    await ended_times(place, 3)
    monkeypatch.setattr(method_trials, "QUIET", 60.0)
    life = await place.life()
    pause = asyncio.create_task(life.time_comes())
    await asyncio.sleep(0)
    life.trials.drain()
    await pause
    assert life.runs == 0
    assert await life.counts.crashes(DUTY) == 3


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened("sqlite", tmp_path) as there:
        yield there


async def test_while_all_is_well_nothing_is_written_for_a_run(database):
    lease = Lease(database, "main-0/garden", renewal=60.0)
    await lease.start()
    life = Life(DutyCrashes(database, lease), lease)
    await life.time_comes()
    written: list[str] = []
    database.observers.append(lambda _, text, *rest: None if text.startswith("SELECT") else written.append(text))
    for _ in range(10):
        await life.time_comes()
    assert (life.runs, written) == (11, [])
    await lease.stop()


async def test_a_count_that_cannot_be_kept_keeps_no_method_from_running(tmp_path, caplog):
    (tmp_path / "crashes").write_text("no folder")
    life = Life(CrashFiles(tmp_path / "crashes"))
    await life.time_comes()
    assert life.runs == 1
    assert "ends of the process within garden.sweep aren't counted" in caplog.text


async def test_a_column_is_there_for_what_an_older_release_inserts(database):
    await database.execute(DUTIES.insert().values(name="old", member=0))
    assert await database.fetch_all(select(DUTIES.c.crashes), into=int) == [0]


class Gardener:
    def __init__(self) -> None:
        self.runs: asyncio.Queue[str] = asyncio.Queue()

    @every(seconds=60, each=True)
    async def sweep(self) -> None:
        self.runs.put_nowait("swept")


async def test_a_schedule_runs_what_is_sound_and_leaves_no_file(tmp_path):
    clock, gardener = ManualClock(), Gardener()
    files = CrashFiles(tmp_path / "crashes")
    schedule = Schedule("garden", gardener, clock, None, Tallies(each=files))
    await schedule.start()
    try:
        for _ in range(2):
            await clock.sleeping()
            await clock.advance(60)
            assert await gardener.runs.get() == "swept"
        await clock.sleeping()
    finally:
        await schedule.stop()
    assert files.is_trusted(DUTY)
    assert list((tmp_path / "crashes").iterdir()) == []
