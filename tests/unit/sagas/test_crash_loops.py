"""A saga that ends its process each time is told from those that a process merely worked on when it ended."""

from __future__ import annotations

import asyncio

import pytest
from sagakit import QUICK, Bookings, Facts, Request, engine, keyed, opened
from sqlalchemy import select, update

from meristem.errors import NotServedHere
from meristem.sagas import crash_loops
from meristem.sagas.administration import SagaStore
from meristem.sagas.crash_loops import BESIDE, DEADLY
from meristem.sagas.facts import SagaBegan, SagaEnded
from meristem.sagas.records import SagaState
from meristem.sagas.tables import SAGAS

NOBODY = 10**6  # the number of a process that has ended


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_loops, "QUIET", 0.001)


async def interrupted(remote, database, *keys: str) -> list[str]:
    """Bookings whose engine stops while the bank has charged and not answered."""
    remote.plans["charge"] = ["hang"] * len(keys)
    service, facts = Bookings(remote), Facts()
    asking = []
    async with engine(service, database, observers=[facts]):
        for key in keys:
            remote.reached.clear()
            with keyed(key):
                asking.append(asyncio.ensure_future(service.book(Request())))
            await remote.reached.wait()
    assert {type(each) for each in await asyncio.gather(*asking, return_exceptions=True)} == {NotServedHere}
    return [each.id for each in facts.all if isinstance(each, SagaBegan)]


async def crashed(database, saga_id: str, crashes: int | None) -> None:
    """The process that worked on it has ended, after it had ended so often."""
    held = update(SAGAS).where(SAGAS.c.id == saga_id).values(member=NOBODY, crashes=crashes)
    await database.execute(held)


async def crashes_of(database, saga_id: str) -> int | None:
    [row] = await database.fetch_all(select(SAGAS.c.crashes).where(SAGAS.c.id == saga_id))
    return row["crashes"]


async def test_a_stop_in_order_and_a_life_without_crashes_count_nothing(remote, tmp_path):
    async with opened(tmp_path / "b.db") as database:
        [saga_id] = await interrupted(remote, database, "k")
        assert await crashes_of(database, saga_id) is None


@pytest.mark.parametrize("before", range(DEADLY - 1))
async def test_an_end_is_counted_by_whoever_goes_on_and_the_next_step_clears_it(remote, tmp_path, before: int):
    async with opened(tmp_path / "b.db") as database:
        [saga_id] = await interrupted(remote, database, "k")
        await crashed(database, saga_id, before)
        remote.plans["charge"] = ["hang"]
        remote.reached.clear()
        facts = Facts()
        async with engine(Bookings(remote), database, observers=[facts]):
            await remote.reached.wait()
            assert await crashes_of(database, saga_id) == before + 1
            remote.freed.set()
            await facts.until(SagaEnded, state="done")
        assert await crashes_of(database, saga_id) is None


async def test_at_the_fifth_end_it_is_parked_without_being_run_and_retry_begins_the_count_anew(remote, tmp_path):
    async with opened(tmp_path / "b.db") as database:
        [saga_id] = await interrupted(remote, database, "k")
        await crashed(database, saga_id, DEADLY - 1)
        called, facts = len(remote.calls), Facts()
        async with engine(Bookings(remote), database, observers=[facts]):
            await facts.until(SagaEnded, state="parked")
        assert len(remote.calls) == called
        store = SagaStore(database)
        [parked] = await store.list(SagaState.PARKED)
        assert "its process ended 5 times while it was worked on after step 0" in (parked.problem or "")
        await store.retry(saga_id)
        assert await crashes_of(database, saga_id) is None
        facts = Facts()
        async with engine(Bookings(remote), database, observers=[facts]):
            await facts.until(SagaEnded, state="done")


async def test_what_is_tried_is_tried_alone_and_what_begins_meanwhile_waits(remote, tmp_path):
    async with opened(tmp_path / "b.db") as database:
        ids = await interrupted(remote, database, "a", "b")
        for each in ids:
            await crashed(database, each, BESIDE)
        remote.plans["charge"] = ["hang"]
        remote.reached.clear()
        service, facts = Bookings(remote), Facts()
        async with engine(service, database, observers=[facts]):
            await remote.reached.wait()
            with keyed("new"):
                asking = asyncio.ensure_future(service.book(Request()))
            # The one that hangs is counted, the other one and the new one were not begun.
            await asyncio.sleep(10 * QUICK.scan)
            counts = sorted([await crashes_of(database, each) or 0 for each in ids])
            assert counts == [BESIDE, BESIDE + 1]
            assert len([each for each in facts.all if isinstance(each, SagaBegan)]) == 1
            remote.freed.set()
            await asking
            for each in ids:
                await facts.until(SagaEnded, id=each, state="done")
