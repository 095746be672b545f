"""A journal is run against other code without any effect, and the step is named at which that code leaves it."""

from __future__ import annotations

import asyncio
import gc

import msgspec
import pytest
from sagakit import (
    Booking,
    Bookings,
    CardDeclined,
    Facts,
    Hold,
    PaymentSettled,
    Remote,
    Request,
    engine,
    keyed,
    told,
)

from meristem import CallError
from meristem.errors import ConfigurationError
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.replay import SagaJournal, read_journals, replay
from meristem.sagas.saga import saga, sagas_of
from meristem.storage.database import database_for


class Trip(Bookings):
    """The code that began."""

    @saga(waits=[PaymentSettled])
    async def book(self, flow: Flow, request: Request) -> Booking:
        hold = await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
        note = await flow.step(self.note, flow.random())
        payment, number = await asyncio.gather(
            flow.with_undo(self.payments.charge(request.amount), self.payments.refund), self.rooms.look(note)
        )
        await flow.sleep(0.001)
        return Booking(room=hold.room, paid=payment.amount + number - 7)

    @saga
    async def doze(self, flow: Flow) -> str:
        await self.rooms.look("before")
        await flow.sleep(86400.0)
        return await flow.step(self.note, 0.5)

    async def note(self, number: float) -> str:
        self.seen.append(number)
        return "blue"


async def kept(database, saga_id):
    saga_row, steps = await SagaStore(database).journal(saga_id)
    whole = SagaJournal(service="bookings", saga=saga_row, steps=list(steps))
    return msgspec.json.decode(msgspec.json.encode(whole), type=SagaJournal)  # as a file keeps it


async def replayed(code, journal):
    """What a replay says, in which nothing is called and no own step is run."""
    remote = Remote()
    service = code(remote)
    found = await replay(sagas_of(code)[journal.saga.name], service, journal, database_for("sqlite://"))
    assert (remote.calls, service.seen) == ([], [])
    return found


@pytest.fixture
async def booked(database, remote):
    service = Trip(remote)
    async with engine(service, database):
        with keyed("k"):
            await service.book(Request())
    return await kept(database, told("k"))


async def test_the_code_that_wrote_a_journal_follows_it_to_its_end_without_any_effect(booked):
    assert await replayed(Trip, booked) is None


async def test_a_step_that_became_another_one_is_named(booked):
    class Other(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            await self.rooms.look(request.room)
            return Booking(room="", paid=0)

    found = await replayed(Other, booked)

    assert found.position == "0"
    assert found.text == "step 0: the journal has call Rooms.hold, the code asks for call Rooms.look"


async def test_other_arguments_are_told_with_what_the_code_gives_now(booked):
    class Dearer(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            hold = await flow.with_undo(self.rooms.hold("red"), self.rooms.release)
            return Booking(room=hold.room, paid=0)

    found = await replayed(Dearer, booked)

    assert found.text == "step 0: the code gives other arguments to call Rooms.hold than were recorded"
    assert found.arguments == '[{"room":"red"}]'


async def test_a_step_that_is_left_out_or_added_at_the_end_and_another_answer_are_told(booked):
    class Shorter(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            hold = await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            return Booking(room=hold.room, paid=100)

    class Longer(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            answer = await sagas_of(Trip)["book"].function(self, flow, request)
            await self.rooms.look("after")
            return answer

    class Generous(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            answer = await sagas_of(Trip)["book"].function(self, flow, request)
            return Booking(room=answer.room, paid=0)

    class Broken(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            await sagas_of(Trip)["book"].function(self, flow, request)
            raise ValueError("no")

    shorter, longer, generous, broken = [await replayed(c, booked) for c in (Shorter, Longer, Generous, Broken)]

    assert shorter.text == "step 1: the journal has local Trip.note, which the code does not reach"
    assert longer.text == "step 3: the code asks for call Rooms.look, and the journal has ended before it"
    assert generous.text == "the code returns something else than the saga answered"
    assert broken.text == "the saga is done, and the code fails: ValueError: no"


async def test_code_that_fails_too_early_is_told_with_its_error_at_the_first_step_that_it_misses(database, remote):
    class Clumsy(Trip):
        @saga
        async def doze(self, flow: Flow) -> str:
            raise ValueError("oh")

    facts, service, complaints = Facts(), Trip(remote), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.doze())
        await facts.until(SagaEnded, state="waiting")
        journal = await kept(database, told("k", "doze"))
    await asyncio.gather(asking, return_exceptions=True)

    found = await replayed(Clumsy, journal)
    gc.collect()

    assert found.text == (
        "step 0: the journal has call Rooms.look, which the code does not reach: it fails by ValueError: oh"
    )
    assert found.position == "0"
    assert complaints == []  # nor of an error that nobody has looked at


async def test_an_answer_or_an_input_that_cannot_be_read_any_more_is_told(booked):
    class Narrow(Trip):
        async def note(self, number: float) -> int:
            return 0

    class Renamed(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, wish: Hold) -> Booking:
            return Booking(room=wish.room, paid=0)

    class Newer(Trip):
        @saga(version=3, supports=2)
        async def book(self, flow: Flow, request: Request) -> Booking:
            return Booking(room="", paid=0)

    unread, renamed, newer = [await replayed(code, booked) for code in (Narrow, Renamed, Newer)]

    assert unread.text == "step 1: the journal has local Trip.note, the code asks for local " + Narrow.note.__qualname__
    assert renamed.text.startswith("what it was given cannot be read any more: ")
    assert newer.text == "it began with version 1, and the code supports 2 to 3"


async def test_a_saga_that_sleeps_is_followed_as_far_as_it_came(database, remote):
    facts, service = Facts(), Trip(remote)
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.doze())
        await facts.until(SagaEnded, state="waiting")
        journal = await kept(database, told("k", "doze"))
    await asyncio.gather(asking, return_exceptions=True)

    class Awake(Trip):
        @saga
        async def doze(self, flow: Flow) -> str:
            await self.rooms.look("before")
            return await flow.step(self.note, 0.5)

    assert await replayed(Trip, journal) is None
    assert "the journal has sleep, the code asks for local Trip.note" in (await replayed(Awake, journal)).text


async def test_a_saga_that_was_undone_is_followed_to_its_error(database, remote):
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CardDeclined):
            await service.book(Request())
    journal = await kept(database, told("k"))

    class Patient(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            try:
                await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
            except CardDeclined:
                return Booking(room="", paid=0)
            raise CallError("internal", "never")

    assert await replayed(Bookings, journal) is None
    assert (await replayed(Patient, journal)).text.endswith("and the code comes to its end")


async def test_a_function_that_waits_for_no_step_is_told_instead_of_waited_for(booked, monkeypatch):
    monkeypatch.setattr("meristem.sagas.replay.PATIENCE", 0.05)

    class Idle(Trip):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await asyncio.Event().wait()
            return Booking(room="", paid=0)

    assert "for what is no step of a saga" in (await replayed(Idle, booked)).text


def test_what_is_no_journal_is_refused_with_the_file(tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"service": 3}')

    with pytest.raises(ConfigurationError, match="wrong.json is no journal that this release can read"):
        list(read_journals([wrong]))
    with pytest.raises(ConfigurationError, match="missing.json cannot be read: No such file"):
        list(read_journals([tmp_path / "missing.json"]))
    wrong.unlink()
    with pytest.raises(ConfigurationError, match="holds no journal: write some with `meristem sagas export"):
        list(read_journals([tmp_path]))
