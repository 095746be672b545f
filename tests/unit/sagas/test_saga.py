"""A saga is called as the method that it is, and ends complete or undone."""

from __future__ import annotations

import gc

import pytest
from sagakit import Booking, Bookings, CardDeclined, Facts, Payment, Request, engine, keyed, told, unavailable
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from meristem import CallError, Code, MisuseError, WiringError
from meristem.sagas.administration import SagaStore
from meristem.sagas.execution import Execution
from meristem.sagas.facts import SagaBegan, SagaEnded, StepEnded
from meristem.sagas.flow import Flow
from meristem.sagas.records import SagaState
from meristem.sagas.saga import saga, sagas_of

tables = MetaData()
NOTES = Table("note", tables, Column("id", Integer, primary_key=True), Column("value", Integer))


class Noting(Bookings):
    """A service that keeps notes in its own database."""

    fails = False

    async def note(self, value: int) -> int:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(value=value))
        if self.fails:
            raise CardDeclined(reason="after the row")
        return value

    async def forget(self, value: int) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(value=-value))

    @saga
    async def remember(self, flow: Flow, value: int) -> int:
        noted = await flow.with_undo(flow.step(self.note, value), self.forget)
        await self.payments.charge(5)
        return noted

    @saga
    async def careful(self, flow: Flow, amount: int) -> str:
        try:
            await flow.with_undo(self.payments.charge(amount), self.payments.refund)
        except CardDeclined as declined:
            await self.rooms.look("cash")
            return f"cash, {declined.reason}"
        return "card"

    @saga
    async def broken(self, flow: Flow) -> None:
        await flow.with_undo(self.rooms.hold("red"), self.rooms.release)
        raise KeyError("secret")


async def notes(database) -> list[int]:
    return await database.fetch_all(select(NOTES.c.value).order_by(NOTES.c.id), into=int)


def executions() -> int:
    gc.collect()
    return sum(type(each) is Execution for each in gc.get_objects())  # isinstance would ask proxies what they are


async def test_of_a_saga_that_has_ended_nothing_stays_in_memory(database, remote):
    service, before = Bookings(remote), executions()
    async with engine(service, database) as made:
        for _ in range(3):
            await service.book(Request())
        await made.stop()  # what it does after the answer is done, too

        assert executions() == before


async def test_its_steps_are_done_in_order_and_its_result_returned(database, remote):
    service = Bookings(remote)
    async with engine(service, database):
        assert await service.book(Request()) == Booking(room="blue", paid=100)
    assert remote.names() == ["hold", "charge"]


async def test_each_step_goes_out_under_a_key_of_its_own(database, remote):
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"):
            await service.book(Request())
    assert [key for _, key in remote.calls] == [f"{told('k')}:0", f"{told('k')}:1"]


async def test_a_declared_fault_undoes_what_was_done_and_reaches_the_caller(database, remote):
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CardDeclined, match="empty") as raised:
            await service.book(Request())
    assert raised.value.reason == "empty"
    assert remote.calls[-1] == ("release", f"{told('k')}:0:undo")


async def test_undos_run_in_reverse(database, remote):
    class Service(Bookings):
        @saga
        async def fail(self, flow: Flow) -> None:
            await flow.with_undo(self.rooms.hold("a"), self.rooms.release)
            await flow.with_undo(self.payments.charge(1), self.payments.refund)
            await flow.with_undo(self.rooms.hold("b"), self.rooms.release)
            raise CardDeclined(reason="no")

    service = Service(remote)
    async with engine(service, database):
        with pytest.raises(CardDeclined):
            await service.fail()
    assert remote.names()[3:] == ["release", "refund", "release"]


async def test_an_error_may_be_caught_as_in_any_function(database, remote):
    remote.plans["charge"] = [CardDeclined(reason="old")]
    service = Noting(remote)
    async with engine(service, database):
        assert await service.careful(3) == "cash, old"


async def test_a_step_of_the_service_commits_with_its_place_in_the_journal(database, remote):
    await database.create(tables)
    service = Noting(remote, database)
    async with engine(service, database):
        assert await service.remember(4) == 4
        service.fails = True
        with pytest.raises(CardDeclined):
            await service.remember(5)
    assert await notes(database) == [4]


async def test_a_step_of_the_service_is_undone_by_a_method_of_the_service(database, remote):
    await database.create(tables)
    service = Noting(remote, database)
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    async with engine(service, database):
        with pytest.raises(CardDeclined):
            await service.remember(4)
    assert await notes(database) == [4, -4]


async def test_a_bug_is_undone_and_its_text_stays_in_the_journal(database, remote):
    service = Noting(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CallError) as raised:
            await service.broken()
        shown = await SagaStore(database).show(told("k", "broken"))
    assert raised.value.code is Code.INTERNAL
    assert "secret" not in str(raised.value)
    assert remote.names() == ["hold", "release"]
    assert "raise KeyError" in shown.details


async def test_undo_may_be_any_function_of_the_reply(database, remote):
    class Service(Bookings):
        @saga
        async def fail(self, flow: Flow) -> None:
            async def release(payment: Payment) -> None:
                await self.payments.refund(Payment(amount=payment.amount + 1, number=0))

            await flow.with_undo(self.payments.charge(1), release)
            raise CardDeclined(reason="no")

    service = Service(remote)
    async with engine(service, database):
        with pytest.raises(CardDeclined):
            await service.fail()
    assert remote.names() == ["charge", "refund"]


async def test_a_saga_may_be_a_step_of_another(database, remote):
    class Service(Bookings):
        @saga
        async def twice(self, flow: Flow) -> int:
            first = await flow.step(self.book, Request(amount=1))
            second = await flow.step(self.book, Request(amount=2))
            return first.paid + second.paid

    service = Service(remote)
    async with engine(service, database):
        assert await service.twice() == 3
    assert remote.names() == ["hold", "charge"] * 2


async def test_a_saga_without_an_engine_says_so(remote):
    with pytest.raises(WiringError, match="SagaEngine"):
        await Bookings(remote).book(Request())


async def test_a_saga_is_not_started_inside_a_transaction(database, remote):
    service = Bookings(remote)
    async with engine(service, database), database.begin() as tx:
        await tx.fetch_value(select(func.max(1)))
        with pytest.raises(MisuseError, match="inside an open database transaction"):
            await service.book(Request())


async def test_the_flow_is_refused_inside_a_step(database, remote):
    class Service(Bookings):
        @saga
        async def nested(self, flow: Flow) -> None:
            async def step() -> None:
                await flow.sleep(0.0)

            await flow.step(step)

    service = Service(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CallError):
            await service.nested()
        shown = await SagaStore(database).show(told("k", "nested"))
    assert "not inside a step" in (shown.saga.error or "")


async def test_sagas_are_found_on_their_class():
    assert set(sagas_of(Noting)) == {"book", "remember", "careful", "broken"}


async def test_a_saga_is_written_with_a_flow():
    with pytest.raises(MisuseError, match=r"async def lonely\(self, flow: Flow"):

        @saga
        async def lonely(self) -> None: ...


async def test_observers_are_told_of_every_step(database, remote):
    facts = Facts()
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    service = Bookings(remote)
    async with engine(service, database, observers=[facts]):
        with pytest.raises(CardDeclined):
            await service.book(Request())
        await facts.until(SagaEnded)
    kinds = [(type(fact), getattr(fact, "name", "")) for fact in facts.all]
    assert kinds == [
        (SagaBegan, "book"),
        (StepEnded, "Rooms.hold"),
        (StepEnded, "Payments.charge"),
        (StepEnded, "Rooms.release"),
        (SagaEnded, "book"),
    ]
    assert facts.all[2].error == "The bank refused. (reason='empty')"


async def test_the_store_shows_states_steps_and_errors(database, remote):
    remote.plans["charge"] = [unavailable(sent=False), CardDeclined(reason="empty")]
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CardDeclined):
            await service.book(Request())
        await service.book(Request())
        store = SagaStore(database)
        failed = await store.list(SagaState.FAILED)
        everything = await store.list()
        shown = await store.show(told("k"), values=True)
        with pytest.raises(CallError, match="there is no saga 'x'"):
            await store.show("x")
    assert [each.id for each in failed] == [told("k")]
    assert len(everything) == 2
    assert [(step.kind, step.name, step.state, step.attempts) for step in shown.steps] == [
        ("call", "Rooms.hold", "done", 1),
        ("call", "Payments.charge", "failed", 2),
        ("undo", "Rooms.release", "done", 1),
    ]
    assert shown.input == '{"request":{"room":"blue","amount":100}}'


async def test_a_step_must_bear_repetition(database, remote):
    class Service(Bookings):
        @saga
        async def shout(self, flow: Flow) -> None:
            await self.rooms.shout("once?")

    service = Service(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CallError):
            await service.shout()
        shown = await SagaStore(database).show(told("k", "shout"))
    assert "Rooms.shout: a saga repeats a step after a crash; declare it @once or @idempotent" in shown.saga.error
    assert remote.calls == []
