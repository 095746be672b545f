"""Which lookups stay on the event loop's thread, by a clock that the test moves."""

import asyncio
import sqlite3
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from meristem.storage.driver import Outcome, Statement
from meristem.storage.sqlite import lookups
from meristem.storage.sqlite.jobs import Runner
from meristem.storage.sqlite.lookups import Lookups

STEP = Statement("SELECT 1", first=True, decode=lambda rows, _: rows)


class Time(SimpleNamespace):
    """What the clocks show, and how far a lookup moves them."""

    wall = own = 0.0
    takes = of_its_own = 0.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time, step = Time(), Runner.step

    def passing(runner: Runner, what: Statement) -> Outcome:
        time.wall += time.takes
        time.own += time.of_its_own
        return step(runner, what)

    monkeypatch.setattr(lookups, "perf_counter", lambda: time.wall)
    monkeypatch.setattr(lookups, "thread_time", lambda: time.own)
    monkeypatch.setattr(lookups, "_A_TURN", 10**6)
    monkeypatch.setattr(Runner, "step", passing)
    return time


@pytest.fixture
def found(time: Time) -> Iterator[Lookups]:
    loop = asyncio.new_event_loop()
    made = Lookups(sqlite3.connect(":memory:"), "test", loop)
    yield made
    made.close()
    loop.close()


def times_found(found: Lookups, times: int) -> int:
    return sum(found.find(STEP) is not None for _ in range(times))


def test_what_takes_long_of_the_processor_is_left_to_others_after_three_times(found: Lookups, time: Time):
    time.takes = time.of_its_own = 0.003

    assert times_found(found, 10) == 3


def test_what_waited_for_others_stays(found: Lookups, time: Time):
    time.takes = 0.003

    assert times_found(found, 100) == 100


def test_three_long_times_far_apart_are_pardoned(found: Lookups, time: Time):
    for _ in range(5):
        time.takes = time.of_its_own = 0.003
        assert times_found(found, 2) == 2
        time.takes = time.of_its_own = 0.0
        assert times_found(found, 1000) == 1000

    assert not found._strikes
