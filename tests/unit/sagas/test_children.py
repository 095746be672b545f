"""Child sagas: one for each step, however often that is run again; they end with their parent, and it with them."""

from __future__ import annotations

import asyncio

import pytest
from sagakit import Bookings, CardDeclined, Facts, Remote, engine, keyed, opened, told, unavailable
from sqlalchemy import func, select
from test_any_steps import Mortal

from meristem import CallError, Code, Message, SagaHandle, start_saga
from meristem.lifecycle import first_of
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded, StepEnded
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga
from meristem.sagas.tables import EVENTS


class Go(Message): ...


class Family(Bookings):
    """A parent that holds a room, and has a child hold one."""

    @saga
    async def parent(self, flow: Flow, *, waits: bool = False) -> int:
        await flow.with_undo(self.rooms.hold("parent"), self.rooms.release)
        number = await flow.step(self.child, waits=waits)
        await self.payments.charge(1)
        return number

    @saga
    async def branches(self, flow: Flow) -> None:
        await flow.gather(flow.step(self.child, waits=True), self.payments.charge(1))

    @saga
    async def leaving(self, flow: Flow, *, asks: bool) -> str:
        if not asks:
            return (await start_saga(self.child, waits=True)).id
        handle = await start_saga(self.listener)
        await handle.signal(Go())
        await handle.signal(Go())
        return f"{await handle.result()} {await handle.state()}"

    @saga(signals=[Go])
    async def listener(self, flow: Flow) -> None:
        for _ in range(2):
            await flow.wait_for_signal(Go, timeout=None)

    @saga
    async def tied(self, flow: Flow) -> None:
        handle = await flow.with_undo(start_saga(self.child, waits=True), self.stop)
        self.seen.append(handle.id)
        await self.payments.charge(1)

    async def stop(self, handle: SagaHandle[int]) -> None:
        await handle.cancel()

    @saga
    async def patient(self, flow: Flow) -> None:
        await flow.with_undo(self.rooms.hold("patient"), self.rooms.release)
        handle = await start_saga(self.child, waits=True)
        await handle.result()

    @saga(signals=[Go], patience=0.0)
    async def child(self, flow: Flow, *, waits: bool) -> int:
        hold = await flow.with_undo(self.rooms.hold("child"), self.rooms.release)
        if waits:
            await flow.wait_for_signal(Go, timeout=None)
        await self.rooms.look("child")
        return hold.number


async def family(database):
    """The sagas by name."""
    return {each.name: each for each in await SagaStore(database).list()}


async def waiting_child(facts):
    """The id of a child, once it sleeps."""
    return (await facts.until(SagaEnded, name="child", state="waiting")).id


async def test_a_parent_that_is_cancelled_has_its_child_undo_what_it_did_first(database, remote):
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        handle = await start_saga(service.parent, waits=True)
        await waiting_child(facts)
        await handle.cancel()
        with pytest.raises(CallError) as raised:
            await handle.result()
        ended = [fact.name for fact in facts.all if isinstance(fact, SagaEnded) and fact.state == "failed"]
    assert raised.value.code is Code.CANCELED
    assert ended == ["child", "parent"]
    assert remote.names() == ["hold", "hold", "release", "release"]


async def test_a_saga_may_be_cancelled_twice_however_far_its_undoing_is(database, remote):
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        handle = await start_saga(service.child, waits=True)
        await waiting_child(facts)
        await asyncio.gather(handle.cancel(), handle.cancel())
        with pytest.raises(CallError) as raised:
            await handle.result()
        await handle.cancel()
    assert raised.value.code is Code.CANCELED
    assert remote.names() == ["hold", "release"]


async def test_a_child_that_is_cancelled_fails_its_parent(database, remote):
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        handle = await start_saga(service.parent, waits=True)
        await SagaHandle.of(service.child, await waiting_child(facts)).cancel()
        with pytest.raises(CallError) as raised:
            await handle.result()
    assert raised.value.code is Code.CANCELED
    assert remote.names() == ["hold", "hold", "release", "release"]


async def test_what_a_child_failed_by_is_final(database, remote):
    """The child has lost its patience with a passing error; the parent, which has more, does not repeat the child."""
    remote.plans["look"] = [unavailable(sent=False)]
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        with pytest.raises(CallError, match="the line is dead"):
            await service.parent()
        steps = (await SagaStore(database).show((await family(database))["parent"].id)).steps
    assert [(step.attempts, step.state) for step in steps if step.name.endswith("child")] == [(1, "failed")]


async def test_a_child_beside_a_branch_that_fails_is_cancelled(database, remote):
    remote.plans["charge"] = [unavailable(sent=False)] * 3 + [CardDeclined(reason="empty")]
    async with engine(service := Family(remote), database):
        with pytest.raises(CardDeclined):
            await service.branches()
        assert (await family(database))["child"].state == "failed"


async def test_a_parent_waits_for_a_child_that_is_parked(database, remote, monkeypatch):
    monkeypatch.setattr("meristem.sagas.children.AGAIN", 0.01)
    remote.plans["look"] = [CallError(Code.FAILED_PRECONDITION, "no", may_have_happened=False)]
    remote.plans["release"] = [CallError(Code.FAILED_PRECONDITION, "jammed", may_have_happened=False)] * 6
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        handle = await start_saga(service.parent)
        parked = await facts.until(SagaEnded, state="parked")
        assert (parked.name, await handle.state()) == ("child", "running")
        [waits] = (await SagaStore(database).show(handle.id)).waits_for
        await SagaStore(database).retry(parked.id)
        with pytest.raises(CallError, match="no"):
            await handle.result()
    assert remote.names() == ["hold", "hold", "release", "release"]
    assert (waits.why, waits.position) == ("child", "1")
    assert waits.text == f"step 1 waits for the end of its child child {parked.id}, which is parked"
    assert f"`meristem sagas show {parked.id}`" in waits.helps


async def test_parent_and_children_are_told_of_each_other_while_they_run_and_afterwards(database, remote):
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        handle = await start_saga(service.parent, waits=True)
        child_id = await waiting_child(facts)
        during = await SagaStore(database).show(handle.id)
        child = await SagaStore(database).show(child_id)
        await SagaHandle.of(service.child, child_id).signal(Go())
        await handle.result()
        after = await SagaStore(database).show(handle.id)
    told = [(shown.children[0].id, shown.children[0].position, shown.children[0].state) for shown in (during, after)]
    assert told == [(child_id, "1", "waiting"), (child_id, "1", "done")]
    assert (child.parent.id, child.parent.position, child.children) == (handle.id, "1", [])
    assert (len(during.children), during.parent) == (1, None)


async def test_a_saga_that_was_left_goes_on_when_the_one_that_started_it_is_done(database, remote):
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        with keyed("k"):
            child_id = await service.leaving(asks=False)
        await waiting_child(facts)
        shown = await SagaStore(database).show(told("k", "leaving"))
        await SagaHandle.of(service.child, child_id).signal(Go())
        await facts.until(SagaEnded, id=child_id, state="done")
    assert (shown.saga.state, [(each.id, each.position) for each in shown.children]) == ("done", [(child_id, "0")])


async def test_a_saga_that_waits_for_the_result_of_another_is_cancelled_alone(database, remote):
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        handle = await start_saga(service.patient)
        child_id = await waiting_child(facts)
        await facts.until(StepEnded, saga="patient", position="1")
        await handle.cancel()
        with pytest.raises(CallError) as raised:
            await handle.result()
        assert await SagaHandle.of(service.child, child_id).state() == "waiting"
    assert raised.value.code is Code.CANCELED
    assert remote.names() == ["hold", "hold", "release"]


async def test_the_undo_of_a_start_gets_the_handle(database, remote):
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    facts = Facts()
    async with engine(service := Family(remote), database, observers=[facts]):
        with pytest.raises(CardDeclined):
            await service.tied()
        await facts.until(SagaEnded, name="child", state="failed")
    assert remote.names().count("release") == remote.names().count("hold")


async def test_killed_at_any_write_a_saga_starts_one_and_signals_it_as_often_as_it_says(tmp_path):
    for deadly in range(2, 100, 3):
        (folder := tmp_path / str(deadly)).mkdir()
        died, _ = await live(folder, remote := Remote(), deadly, work=lambda each: each.leaving(asks=True))
        _, sagas = await live(folder, remote, work=lambda each: each.leaving(asks=True))
        assert {name: each.state for name, each in sagas.items()} == {"leaving": "done", "listener": "done"}
        async with opened(folder / "a.db") as database:
            assert await database.fetch_value(select(func.count()).select_from(EVENTS)) == 2
        if not died:
            break
    assert deadly > 12


async def live(folder, remote, deadly=0, *, cancelled=False, work=Family.parent):
    """One life of a family, to its end or to a write of the journal; whether it was cut short."""
    remote.reached.clear()
    driver, facts = Mortal(folder / "a.db", deadly, remote.reached), Facts()
    async with opened(folder / "a.db", driver) as database:
        if cancelled:
            await SagaStore(database).cancel(told("k", "parent"))
        async with engine(service := Family(remote), database, observers=[facts]):
            driver.counted = True
            with keyed("k"):
                asking = asyncio.ensure_future(work(service))
            await first_of(asyncio.wait({asking}), remote.reached.wait())
            driver.counted = False
        await asyncio.gather(asking, return_exceptions=True)
        return remote.reached.is_set(), await family(database)


async def test_killed_at_any_write_a_parent_has_one_child(tmp_path):
    for deadly in range(2, 100, 2):
        (folder := tmp_path / str(deadly)).mkdir()
        died, _ = await live(folder, remote := Remote(), deadly)
        _, sagas = await live(folder, remote)
        assert {name: each.state for name, each in sagas.items()} == {"parent": "done", "child": "done"}
        assert [name for name in remote.names() if name != "look"] == ["hold", "hold", "charge"]
        if not died:
            break
    assert deadly > 8


async def test_killed_at_any_write_and_cancelled_a_family_is_undone_as_a_whole(tmp_path):
    for deadly in range(2, 100):
        (folder := tmp_path / str(deadly)).mkdir()
        died, sagas = await live(folder, remote := Remote(), deadly)
        if not died or sagas["parent"].state == "done":
            break
        _, sagas = await live(folder, remote, cancelled=True)
        assert sagas["parent"].state == "failed"
        undone = 1 if "child" not in sagas or sagas["child"].state == "done" else len(sagas)
        assert remote.names().count("release") == undone, (deadly, sagas)
    assert deadly > 8
