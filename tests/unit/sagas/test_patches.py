"""Code that changes under running sagas: what lies behind one stays as it was, what lies ahead is the new code's."""

from __future__ import annotations

import asyncio

import pytest
from sagakit import Bookings, Facts, Remote, engine, keyed, opened, told
from test_any_steps import Mortal

from meristem import CallError, Code, MisuseError
from meristem.lifecycle import first_of
from meristem.sagas.administration import SagaStore
from meristem.sagas.draining import undrained
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga
from meristem.testing import ManualClock

DAY = 86400.0


class Before(Bookings):
    """As it was: two charges, a pause between them."""

    pause = 0.001

    @saga
    async def trip(self, flow: Flow) -> list[str]:
        await self.rooms.look("a")
        await self.payments.charge(1)
        await flow.sleep(self.pause)
        await self.payments.charge(2)
        return ["charge", "charge"]


class After(Bookings):
    """Each charge has become a hold."""

    pause = 0.001

    @saga(patches=["first", "second"])
    async def trip(self, flow: Flow) -> list[str]:
        await self.rooms.look("a")
        first = await self.either(flow.patched("first"))
        await flow.sleep(self.pause)
        return [first, await self.either(flow.patched("second"))]

    async def either(self, is_new: bool) -> str:
        if is_new:
            await self.rooms.hold("a")
            return "hold"
        await self.payments.charge(1)
        return "charge"


class Dropped(Bookings):
    """The old paths are gone."""

    pause = 0.001

    @saga(deprecated_patches=["first", "second"])
    async def trip(self, flow: Flow) -> list[str]:
        await self.rooms.look("a")
        await self.rooms.hold("a")
        await flow.sleep(self.pause)
        await self.rooms.hold("a")
        return ["hold", "hold"]


async def live(folder, remote, code, deadly=0):
    """One life by one release, to the end or to a write of the journal; the answer, None if it was cut short."""
    remote.reached.clear()
    driver = Mortal(folder / "a.db", deadly, remote.reached)
    async with opened(folder / "a.db", driver) as database:
        async with engine(service := code(remote), database):
            driver.counted = True
            with keyed("k"):
                asking = asyncio.ensure_future(service.trip())
            await first_of(asyncio.wait({asking}), remote.reached.wait())
            driver.counted = False
        [answer] = await asyncio.gather(asking, return_exceptions=True)
    return None if remote.reached.is_set() else answer


def effects(remote):
    return [name for name in remote.names() if name != "look"]


async def test_killed_at_any_write_under_the_old_code_and_again_under_the_new_it_takes_one_path(tmp_path):
    answers = set()
    for deadly in range(2, 13):  # before the second, the saga is not stored
        (folder := tmp_path / str(deadly)).mkdir()
        remote = Remote()
        await live(folder, remote, Before, deadly)
        await live(folder, remote, After, 1 + deadly % 4)
        answer = await live(folder, remote, After)
        assert answer == effects(remote)
        answers.add(tuple(answer))
    assert answers == {("hold", "hold"), ("charge", "hold"), ("charge", "charge")}


@pytest.mark.parametrize(("hangs", "answer"), [(0, ["charge", "hold"]), (1, ["charge", "charge"])])
async def test_a_call_that_was_under_way_when_the_old_code_died_is_repeated_by_the_old_path(tmp_path, hangs, answer):
    """Its effect is there, and no answer of it in the journal."""
    remote = Remote()
    remote.plans["charge"] = [None] * hangs + ["hang"]
    await live(tmp_path, remote, Before)
    assert await live(tmp_path, remote, After) == effects(remote) == answer


async def test_a_new_saga_takes_the_new_path_wherever_it_is_killed(tmp_path):
    for deadly in range(2, 10):
        (folder := tmp_path / str(deadly)).mkdir()
        remote = Remote()
        await live(folder, remote, After, deadly)
        assert await live(folder, remote, After) == effects(remote) == ["hold", "hold"]


async def asleep(database, remote, code, key, clock):
    """A saga that a release has brought to its pause."""
    code.pause, facts = DAY, Facts()
    async with engine(service := code(remote), database, clock, observers=[facts]):
        with keyed(key):
            asking = asyncio.ensure_future(service.trip())
        await facts.until(SagaEnded, state="waiting")
    await asyncio.gather(asking, return_exceptions=True)


@pytest.fixture
def long_pauses(monkeypatch):
    for code in (Before, After, Dropped):
        monkeypatch.setattr(code, "pause", DAY)


@pytest.mark.usefixtures("long_pauses")
async def test_what_still_runs_without_a_patch_is_found_until_it_takes_it_or_ends(database, remote):
    clock = ManualClock()
    await asleep(database, remote, Before, "old", clock)
    await asleep(database, remote, After, "new", clock)

    async def left(patch, **more):
        return [each.id for each in await undrained(database, ["trip"], patch, **more)]

    assert await left("first") == await left("second") == [told("old", "trip")]
    assert await left("first", taken=True) == [told("new", "trip")]
    facts = Facts()
    async with engine(After(remote), database, clock, observers=[facts]):
        await clock.advance(DAY)
        await facts.until(SagaEnded, id=told("old", "trip"), state="done")
        await facts.until(SagaEnded, id=told("new", "trip"), state="done")
    assert await left("first") == await left("second") == []


@pytest.mark.usefixtures("long_pauses")
async def test_a_saga_with_patches_goes_on_where_the_old_paths_are_gone(database, remote):
    clock, facts = ManualClock(), Facts()
    await asleep(database, remote, After, "new", clock)
    async with engine(Dropped(remote), database, clock, observers=[facts]):
        await clock.advance(DAY)
        await facts.until(SagaEnded, state="done")
    assert effects(remote) == ["hold", "hold"]


@pytest.mark.usefixtures("long_pauses")
async def test_a_saga_that_began_where_the_old_paths_are_gone_goes_on_where_they_are_not(database, remote):
    """Beside a release that drops them, replicas of the one before still run."""
    clock, facts = ManualClock(), Facts()
    await asleep(database, remote, Dropped, "newest", clock)
    async with engine(After(remote), database, clock, observers=[facts]):
        assert await undrained(database, ["trip"], "first") == []
        assert await undrained(database, ["trip"], "first", taken=True) == []
        await clock.advance(DAY)
        await facts.until(SagaEnded, state="done")
    assert effects(remote) == ["hold", "hold"]


@pytest.mark.usefixtures("long_pauses")
async def test_a_replica_of_an_older_release_leaves_a_saga_with_a_patch_that_it_does_not_have_alone(
    database, remote, caplog
):
    clock, facts = ManualClock(), Facts()
    await asleep(database, remote, After, "new", clock)
    async with engine(Before(remote), database, clock, observers=[facts]) as made:
        await clock.advance(DAY)
        assert await made.is_overdue()
        async with asyncio.timeout(60):
            while "is left to a newer release" not in caplog.text:
                await asyncio.sleep(0.01)
    assert (await SagaStore(database).show(told("new", "trip"))).saga.state == "waiting"
    assert not facts.all


async def test_a_patch_that_is_not_declared_is_refused(database, remote):
    class Silent(Bookings):
        @saga
        async def trip(self, flow: Flow) -> bool:
            return flow.patched("first")

    async with engine(service := Silent(remote), database):
        with pytest.raises(CallError) as raised:
            await service.trip()
    assert raised.value.code is Code.INTERNAL


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"patches": "first"}, "listed by their names"),
        ({"patches": [""]}, "needs a name"),
        ({"patches": ["a"], "deprecated_patches": ["a"]}, "'a' is listed twice"),
    ],
)
def test_names_of_patches_are_checked_where_they_are_declared(wrong, text):
    with pytest.raises(MisuseError, match=text):

        @saga(**wrong)
        async def trip(self, flow: Flow) -> None: ...
