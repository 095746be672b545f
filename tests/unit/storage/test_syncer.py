"""How many commits share a sync of the log, and how busy the event loop is for that."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from meristem.storage.driver import Outcome
from meristem.storage.sqlite import jobs, syncer
from meristem.storage.sqlite.jobs import Completions, Job
from meristem.storage.sqlite.syncer import LAGS, LONGEST, MANY, Syncer
from meristem.storage.sqlite.workers import Workers


class Disk(SimpleNamespace):
    """Counts the syncs, and has one more commit come while a sync waits for some."""

    syncs = 0
    commit: Callable[[], None]

    def sync(self, _: int) -> None:
        self.syncs += 1


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch, disk: Disk) -> list[float]:
    """How long syncs waited."""
    found: list[float] = []

    def sleep(seconds: float) -> None:
        found.append(seconds)
        disk.commit()

    monkeypatch.setattr(syncer, "sleep", sleep)
    return found


@pytest.fixture
def disk() -> Disk:
    return Disk()


def behind(loop: asyncio.AbstractEventLoop, lag: float) -> Completions:
    completions = Completions(loop)
    completions.lag = lag
    return completions


def synced(loop: asyncio.AbstractEventLoop, completions: Completions, disk: Disk, *groups: int) -> list[Job]:
    """Have groups of so many commits synced, by default of a single one; gives all that was committed meanwhile."""
    with tempfile.TemporaryFile() as log:
        made = Syncer(log.fileno(), "test", completions, disk.sync)
        done: list[Job] = []

        def commit() -> None:
            done.append(Job((), loop.create_future()))
            made.committed(done[-1], Outcome([], 1))

        disk.commit = commit
        for count in groups or (1,):
            for _ in range(count):
                commit()
            made.sync_here()
        made._workers.leave()
    loop.run_until_complete(asyncio.sleep(0))
    return done


def test_while_the_loop_is_behind_a_sync_waits_for_more_commits(loop, waited: list[float], disk: Disk):
    done = synced(loop, behind(loop, 0.001), disk)

    assert waited == [LAGS * 0.001]
    assert [job.finished for job in done] == [True, True]
    assert disk.syncs == 1


def test_a_sync_waits_no_longer_than_its_longest_however_late_the_loop_is(loop, waited: list[float], disk: Disk):
    synced(loop, behind(loop, 5.0), disk)

    assert waited == [LONGEST]


def test_while_the_loop_is_idle_a_sync_waits_for_nothing(loop, waited: list[float], disk: Disk):
    synced(loop, behind(loop, 0.0001), disk)

    assert not waited
    assert disk.syncs == 1


def test_no_sync_waits_on_a_thread_that_another_database_may_need(
    loop, waited: list[float], disk: Disk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Workers, "have_spare", False)

    synced(loop, behind(loop, 0.001), disk)

    assert not waited
    assert disk.syncs == 1


def test_where_many_share_a_sync_none_waits_for_more(loop, waited: list[float], disk: Disk):
    synced(loop, behind(loop, 0.001), disk, MANY, 1)
    assert not waited

    synced(loop, behind(loop, 0.001), disk, MANY, 1, 1)
    assert len(waited) == 1


def test_the_lag_is_how_late_the_loop_lately_heard_of_ends(loop, monkeypatch: pytest.MonkeyPatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(jobs, "perf_counter", lambda: clock.now)
    completions = Completions(loop)

    def hear(seconds: float) -> None:
        completions.give(Job((), loop.create_future()))
        clock.now += seconds
        loop.run_until_complete(asyncio.sleep(0))

    for _ in range(100):
        hear(0.004)
    assert completions.lag == pytest.approx(0.004, rel=0.01)

    for _ in range(100):
        hear(0.0)
    assert completions.lag < 0.0001
