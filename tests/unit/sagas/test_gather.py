"""Branches of `flow.gather`: places that no timing moves, at most so many at once, one failure that ends them all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sagakit import (
    Bookings,
    CardDeclined,
    Facts,
    Hold,
    PaymentSettled,
    Remote,
    RoomTaken,
    engine,
    keyed,
    opened,
    told,
    unavailable,
)  # fmt: skip
from sqlalchemy import insert
from test_any_steps import Mortal
from test_branches import Jumbled

from meristem import CallError, Code
from meristem.lifecycle import first_of
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded, StepEnded
from meristem.sagas.flow import Flow
from meristem.sagas.records import Kind
from meristem.sagas.saga import saga
from meristem.sagas.tables import EVENTS
from meristem.testing import ManualClock


class Trip(Bookings):
    """A service that does several things at once."""

    @saga(waits=[PaymentSettled])
    async def rooms_of(self, flow: Flow, names: list[str], limit: int | None = None) -> list[Hold]:
        holds = await flow.gather(*(self.twice(name) for name in names), limit=limit)
        await self.rooms.look("z")
        return list(holds)

    async def twice(self, name: str) -> Hold:
        await self.payments.charge(1)
        return await self.rooms.hold(name)

    @saga(waits=[PaymentSettled])
    async def hold_and_pay(self, flow: Flow, extra: str = "nothing") -> str:
        """Holds two rooms and pays; `extra` is a branch that the failure finds in the middle of something."""
        try:
            await flow.gather(
                flow.with_undo(self.rooms.hold("a"), self.rooms.release),
                flow.with_undo(self.rooms.hold("b"), self.rooms.release),
                self.pay(flow),
                self.beside(flow, extra),
            )
        except CardDeclined:
            if extra != "event":
                raise
            settled = await flow.wait_for(PaymentSettled, key="a", timeout=60.0)
            return settled.room
        return "paid"

    async def pay(self, flow: Flow) -> None:
        await flow.with_undo(self.payments.charge(1), self.payments.refund)

    async def beside(self, flow: Flow, extra: str) -> None:
        if extra == "sleep":
            await flow.sleep(86400.0)
        elif extra == "event":
            await flow.wait_for(PaymentSettled, key="a", timeout=None)
        elif extra == "retry":
            await self.rooms.look("a")
        elif extra == "nested":
            with suppress(RoomTaken):
                await flow.gather(flow.sleep(86400.0), flow.gather(flow.sleep(86400.0), flow.sleep(1.0)))
        await self.rooms.look("never")


def twice(remote):
    """A refused card, once and for all."""
    remote.plans["charge"] = [CardDeclined(reason="empty")] * 2


async def test_the_replies_come_in_the_order_of_the_branches(database, remote):
    async with engine(service := Trip(remote), database):
        with keyed("k"):
            held = await service.rooms_of(["a", "b"])
        shown = await SagaStore(database).show(told("k", "rooms_of"))
    assert [each.room for each in held] == ["a", "b"]
    assert {step.position for step in shown.steps} == {"0/0", "0/1", "1/0", "1/1", "0"}


async def test_no_more_run_at_once_than_the_limit_says(database, remote):
    class Counting(Trip):
        running = most = 0

        async def twice(self, name: str) -> Hold:
            self.running += 1
            self.most = max(self.most, self.running)
            held = await super().twice(name)
            self.running -= 1
            return held

    async with engine(service := Counting(remote), database):
        assert len(await service.rooms_of(list("abcdefg"), 3)) == 7
    assert service.most == 3


@pytest.mark.parametrize("seed", range(10))
async def test_a_branch_keeps_its_places_however_the_others_are_timed(tmp_path, seed):
    """Interrupted anywhere, with answers in any order and a limit: each step has its effect once, in its own branch."""
    names = list("abcde")
    async with opened(tmp_path / "a.db") as database:
        remote = Jumbled(seed, stop_after=seed)
        async with engine(first := Trip(remote), database):
            with keyed("k"):
                asking = asyncio.ensure_future(first.rooms_of(names, 2))
            await remote.reached.wait()
        await asyncio.gather(asking, return_exceptions=True)
        remote.left = None
        async with engine(second := Trip(remote), database):
            with keyed("k"):
                held = await second.rooms_of(names, 2)
        shown = await SagaStore(database).show(told("k", "rooms_of"))
    assert [each.room for each in held] == names
    places = [f"{branch}/{step}" for branch in range(5) for step in range(2)]
    assert sorted(step.position for step in shown.steps) == sorted([*places, "0"])
    assert len(remote.effects) == 11


async def test_what_is_under_way_when_a_branch_fails_is_waited_for_and_undone(database, remote):
    remote.plans["hold"] = [None, "hang"]
    twice(remote)
    async with engine(service := Trip(remote), database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.hold_and_pay())
        await remote.reached.wait()
        await remote.called("charge")
        remote.freed.set()
        with pytest.raises(CardDeclined):
            await asking
    assert remote.names().count("release") == 2


async def test_undos_run_in_reverse_of_the_order_in_which_branches_were_done(database, remote):
    remote.plans["hold"] = ["hang"]  # the first branch is the last one to be done
    facts = Facts()

    class Failing(Trip):
        @saga
        async def fail(self, flow: Flow) -> None:
            await flow.gather(
                flow.with_undo(self.rooms.hold("a"), self.rooms.release),
                flow.with_undo(self.rooms.hold("b"), self.rooms.release),
            )
            raise CardDeclined(reason="empty")

    async with engine(service := Failing(remote), database, observers=[facts]):
        asking = asyncio.ensure_future(service.fail())
        await facts.until(StepEnded, position="1/0")
        remote.freed.set()
        with pytest.raises(CardDeclined):
            await asking
    undone = [fact.position for fact in facts.all if isinstance(fact, StepEnded) and fact.kind is Kind.UNDO]
    assert undone == ["0/0", "1/0"]


@pytest.mark.parametrize("extra", ["sleep", "nested"])
async def test_a_failure_ends_the_pauses_beside_it_at_once(database, remote, extra):
    twice(remote)
    async with engine(service := Trip(remote), database, ManualClock()):
        with keyed("k"), pytest.raises(CardDeclined):
            await service.hold_and_pay(extra)
        shown = await SagaStore(database).show(told("k", "hold_and_pay"))
    assert {step.state for step in shown.steps if step.kind == Kind.SLEEP} == {"failed"}
    assert "look" not in remote.names()


async def test_a_call_that_certainly_did_not_happen_is_not_tried_again_for_nobody(database, remote):
    remote.plans["look"] = [unavailable(sent=False)] * 1000
    remote.plans["charge"] = [unavailable(sent=False), CardDeclined(reason="empty")]
    async with engine(service := Trip(remote), database):
        with keyed("k"), pytest.raises(CardDeclined):
            await service.hold_and_pay("retry")
        [given_up] = [
            each for each in (await SagaStore(database).show(told("k", "hold_and_pay"))).steps if "look" in each.name
        ]
    assert given_up.state == "failed"
    assert "look" not in remote.names()


async def live(folder, remote, extra, deadly=0):
    """One life, up to the end, to a long sleep or to a write of the journal; the outcome, None if it was cut short."""
    remote.reached.clear()
    driver = Mortal(folder / "a.db", deadly, remote.reached)
    async with opened(folder / "a.db", driver) as database:
        facts = Facts()
        async with engine(service := Trip(remote), database, observers=[facts]):
            driver.counted = True
            with keyed("k"):
                asking = asyncio.ensure_future(service.hold_and_pay(extra))
            await first_of(asyncio.wait({asking}), remote.reached.wait(), facts.until(SagaEnded, state="waiting"))
            driver.counted = False
        [outcome] = await asyncio.gather(asking, return_exceptions=True)
        # In between the event comes that a branch, and after its failure the function itself, waits for.
        if extra == "event" and deadly and await SagaStore(database).list():
            event = {"type": PaymentSettled.event_type, "key": "a", "received": datetime.now(UTC)}
            await database.execute(insert(EVENTS), event | {"body": '{"room": "blue", "amount": 1}'})
    return None if remote.reached.is_set() else outcome


@pytest.mark.parametrize("extra", ["event", "sleep", "retry", "nested"])
async def test_killed_at_any_write_of_the_journal_it_ends_as_it_would_have(tmp_path, extra):
    for deadly in range(1, 100):
        (folder := tmp_path / str(deadly)).mkdir()
        remote = Remote()
        remote.plans["charge"] = [CardDeclined(reason="empty")] * 3
        remote.plans["look"] = [unavailable(sent=False)] * 1000
        died = await live(folder, remote, extra, deadly) is None
        if extra == "event" and not died:
            break
        if deadly == 1:
            continue  # killed before the saga was stored
        outcome = await live(folder, remote, extra)
        if extra == "event":
            assert outcome == "blue"
            assert sorted(remote.names()) == ["hold", "hold"]
        else:
            assert isinstance(outcome, CardDeclined)
            assert sorted(remote.names()) == ["hold", "hold", "release", "release"]
        if not died:
            break
    assert deadly > 12


async def test_a_task_of_its_own_is_no_branch(database, remote):
    class Eager(Trip):
        @saga
        async def eager(self, flow: Flow) -> None:
            await flow.gather(asyncio.ensure_future(self.twice("a")), self.twice("b"))

    async with engine(service := Eager(remote), database):
        with pytest.raises(CallError) as raised:
            await service.eager()
    assert raised.value.code is Code.INTERNAL
