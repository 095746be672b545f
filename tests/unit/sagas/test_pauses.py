"""Sleeping, waiting for events, time and chance outlive the process."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import asdict, replace
from sagakit import QUICK, Bookings, Facts, PaymentSettled, engine, keyed, told
from sqlalchemy import insert

from meristem import CallError, Code
from meristem.lifecycle import first_of
from meristem.sagas import statements as sql
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaBegan, SagaEnded, StepEnded
from meristem.sagas.flow import Flow
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow, StepState
from meristem.sagas.saga import saga
from meristem.sagas.tables import SAGAS, STEPS
from meristem.testing import ManualClock

SLOW = replace(QUICK, scan=1.0)


class Waiting(Bookings):
    """A service that takes its time."""

    @saga
    async def nap(self, flow: Flow, seconds: float) -> float:
        before = flow.now()
        await flow.sleep(seconds)
        return (flow.now() - before).total_seconds()

    @saga(waits=[PaymentSettled])
    async def settle(self, flow: Flow, room: str) -> int:
        await flow.with_undo(self.rooms.hold(room), self.rooms.release)
        return (await flow.wait_for(PaymentSettled, key=room, timeout=60.0)).amount

    @saga(waits=[PaymentSettled])
    async def settle_twice(self, flow: Flow, room: str) -> list[int]:
        first = await flow.wait_for(PaymentSettled, key=room, timeout=None)
        second = await flow.wait_for(PaymentSettled, key=room, timeout=60.0)
        return [first.amount, second.amount]

    @saga(waits=[PaymentSettled])
    async def patient(self, flow: Flow) -> str:
        try:
            await flow.wait_for(PaymentSettled, key="never", timeout=5.0)
        except TimeoutError:
            return "no money"
        return "money"

    @saga
    async def undeclared(self, flow: Flow) -> None:
        await flow.wait_for(PaymentSettled, key="x", timeout=1.0)

    @saga
    async def chance(self, flow: Flow) -> tuple[float, float, UUID, UUID]:
        self.seen.append((flow.random(), flow.now()))
        values = flow.random(), flow.uuid(), flow.uuid()
        await self.rooms.hold("a")
        self.seen.append((values, flow.now()))
        await self.payments.charge(1)
        return flow.random(), *values


@pytest.fixture
def clock():
    return ManualClock()


async def test_a_short_sleep_is_waited_for(database, remote, clock):
    service = Waiting(remote)
    async with engine(service, database, clock, SLOW):
        asking = asyncio.ensure_future(service.nap(20.0))
        await clock.sleeping(3)  # the forgetting of old sagas and of events, and the saga
        await clock.advance(20.0)
        assert await asking == 20.0


async def test_a_long_sleep_is_kept_in_the_journal_and_nowhere_else(database, remote, clock):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, clock, replace(SLOW, scan=100.0), [facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.nap(86400.0))
        await facts.until(SagaEnded, state="waiting")
        shown = (await SagaStore(database).show(told("k", "nap"))).saga
        assert (shown.state, shown.member, shown.wake_at) == (
            SagaState.WAITING, None, clock.now() + timedelta(days=1),
        )  # fmt: skip
        await clock.advance(86000.0)
        assert not asking.done()
        for _ in range(6):
            await clock.sleeping()
            await clock.advance(100.0)
        assert await asking == pytest.approx(86400.0, abs=300.0)


async def test_a_sleep_goes_on_after_a_restart_for_the_rest_of_its_time(database, remote, clock):
    service = Waiting(remote)
    async with engine(service, database, clock, SLOW):
        with keyed("k"):
            asking = asyncio.ensure_future(service.nap(20.0))
        await clock.sleeping(3)
        await clock.advance(15.0)
    await asyncio.wait({asking})
    assert isinstance(asking.exception(), CallError)
    facts = Facts()
    async with engine(Waiting(remote), database, clock, SLOW, [facts]):
        await clock.sleeping(3)
        await clock.advance(5.0)
        await facts.until(SagaEnded, state="done")


async def test_an_event_ends_the_wait_for_it(database, remote):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, observers=[facts]) as running:
        asking = asyncio.ensure_future(service.settle("blue"))
        await facts.until(SagaEnded, state="waiting")
        await running.on_event(PaymentSettled(room="red", amount=1))
        await running.on_event(PaymentSettled(room="blue", amount=2))
        assert await asking == 2


async def test_an_event_that_came_before_the_wait_counts(database, remote):
    remote.plans["hold"] = ["hang"]
    service = Waiting(remote)
    async with engine(service, database) as running:
        asking = asyncio.ensure_future(service.settle("blue"))
        await remote.reached.wait()
        await running.on_event(PaymentSettled(room="blue", amount=2))
        remote.freed.set()
        assert await asking == 2


async def test_an_event_that_came_before_the_saga_does_not_count(database, remote):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, observers=[facts]) as running:
        await running.on_event(PaymentSettled(room="blue", amount=1))
        asking = asyncio.ensure_future(service.settle("blue"))
        await facts.until(SagaEnded, state="waiting")
        await running.on_event(PaymentSettled(room="blue", amount=2))
        assert await asking == 2


async def test_each_wait_gets_an_event_of_its_own(database, remote):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, observers=[facts]) as running:
        asking = asyncio.ensure_future(service.settle_twice("blue"))
        await facts.until(SagaEnded, state="waiting")
        await running.on_event(PaymentSettled(room="blue", amount=1))
        await facts.until(StepEnded, position="0")
        await running.on_event(PaymentSettled(room="blue", amount=2))
        assert await asking == [1, 2]
    assert len([fact for fact in facts.all if isinstance(fact, SagaBegan)]) <= 4


async def test_an_event_in_a_transaction_that_is_rolled_back_did_not_come(database, remote):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, observers=[facts]) as running:
        asking = asyncio.ensure_future(service.settle("blue"))
        await facts.until(SagaEnded, state="waiting")
        await rolled_back(database, running.on_event(PaymentSettled(room="blue", amount=1)))
        async with database.unit():
            await running.on_event(PaymentSettled(room="blue", amount=2))
        assert await asking == 2


async def test_a_wait_that_takes_too_long_raises_a_timeout(database, remote, clock):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, clock, SLOW, [facts]):
        asking = asyncio.ensure_future(service.patient())
        await facts.until(SagaEnded, state="waiting")
        await clock.advance(6.0)
        assert await asking == "no money"


async def test_a_timeout_that_nobody_catches_undoes_the_saga(database, remote, clock):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, clock, SLOW, [facts]):
        asking = asyncio.ensure_future(service.settle("blue"))
        await facts.until(SagaEnded, state="waiting")
        await clock.advance(61.0)
        with pytest.raises(CallError, match="no tests.sagas.v1.PaymentSettled with the key 'blue' came") as raised:
            await asking
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert remote.names() == ["hold", "release"]


async def test_a_wait_must_be_declared(database, remote):
    service = Waiting(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CallError):
            await service.undeclared()
        shown = await SagaStore(database).show(told("k", "undeclared"))
    assert "@saga(waits=[PaymentSettled])" in shown.saga.error


async def test_time_and_chance_are_the_same_in_a_replay(database, remote):
    remote.plans["charge"] = ["hang"]
    service = Waiting(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.chance())
        await remote.reached.wait()
    await asyncio.wait({asking})
    assert asking.exception() is not None
    again = Waiting(remote)
    async with engine(again, database):
        with keyed("k"):
            first, second, one, two = await again.chance()
    assert service.seen == again.seen
    assert len({first, second, again.seen[0][0]}) == 3
    assert one != two
    assert one.version == 4


async def test_events_that_no_saga_can_want_and_old_sagas_are_forgotten(database, remote, clock):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, clock, replace(SLOW, retention=100.0), [facts]) as running:
        asking = asyncio.ensure_future(service.settle("blue"))
        await facts.until(SagaEnded, state="waiting")
        for _ in range(3):
            await running.on_event(PaymentSettled(room="blue", amount=2))
        assert await asking == 2
        await clock.advance(700.0)
        while await SagaStore(database).list():
            await asyncio.sleep(0)
        await running._journal.forget_events()
        assert await running._journal.event(_after(0), PaymentSettled.event_type, "blue") is None


@pytest.mark.parametrize(("begin", "kept"), [("nap", False), ("settle", True)])
async def test_an_event_is_kept_only_while_a_saga_goes_on_that_can_want_it(database, remote, clock, begin, kept):
    service, facts = Waiting(remote), Facts()
    async with engine(service, database, clock, SLOW, [facts]) as running:
        asking = asyncio.ensure_future(service.nap(9000.0) if begin == "nap" else service.settle("red"))
        await facts.until(SagaEnded, state="waiting")
        await running.on_event(PaymentSettled(room="blue", amount=2))
        await running._journal.forget_events()
        found = await running._journal.event(_after(0), PaymentSettled.event_type, "blue")
        asking.cancel()
    assert (found is not None) is kept


async def test_a_pause_ends_in_time_while_old_sagas_are_being_forgotten(database, remote, clock, monkeypatch):
    service, facts, forgetting = Waiting(remote), Facts(), asyncio.Event()

    async def forget(*_: object) -> None:
        forgetting.set()
        await asyncio.Event().wait()

    async with engine(service, database, clock, SLOW, [facts]) as running:
        monkeypatch.setattr(running._journal, "forget_events", forget)
        asking = asyncio.ensure_future(service.nap(900.0))
        await facts.until(SagaEnded, state="waiting")
        await clock.advance(650.0)
        await forgetting.wait()
        await running.settle()
        await clock.advance(250.0)
        async with asyncio.timeout(30):
            assert await asking == 900.0


@pytest.mark.parametrize("turns", range(6))
async def test_a_pause_that_is_cancelled_just_as_an_event_comes_is_cancelled(turns):
    """It would else wait for ever, and so would whoever waits for its end."""
    nudge = asyncio.Event()
    pause = asyncio.ensure_future(first_of(nudge.wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    nudge.set()
    for _ in range(turns):
        await asyncio.sleep(0)

    cancelled = pause.cancel()
    await asyncio.wait({pause})

    assert pause.cancelled() is cancelled


async def rolled_back(database, work) -> None:
    with contextlib.suppress(LookupError):
        async with database.unit():
            await work
            raise LookupError


def _after(horizon: int):
    class Saga:
        id = "none"

    Saga.horizon = horizon
    return Saga


async def test_an_event_that_another_saga_took_wakes_the_one_that_has_just_gone_to_sleep(database):
    now = ManualClock().now()
    for saga_id, state in (("first", SagaState.DONE), ("second", SagaState.WAITING)):
        row = SagaRow(saga_id, "settle", 1, state, "{}", "{}", "", now, now)
        await database.execute(insert(SAGAS), asdict(row))
    await database.execute(sql.BUFFER, {"type": "Settled", "key": "5", "body": "{}", "received": now})
    event = await database.fetch_value(sql.LAST_EVENT)
    wait = StepRow("first", "0", Kind.WAIT, "Settled", "", StepState.DONE, now, subject="5", event=event)
    for row in (wait, replace(wait, saga_id="second", state=StepState.WAITING, event=None)):
        await database.execute(insert(STEPS), asdict(row))

    async def woken() -> int:
        return (await database.execute(sql.AWAKE, {"id_": "second", "fence_": 1})).rowcount

    assert await woken() == 1
    assert await woken() == 0  # it runs
