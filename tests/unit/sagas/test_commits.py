"""A saga commits as seldom as it can: its own row and the answers of calls go with the next commit, and no later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sagakit import (
    QUICK,
    Bookings,
    CardDeclined,
    Facts,
    PaymentSettled,
    Remote,
    Request,
    engine,
    keyed,
    opened,
    told,
)
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from meristem import CallError, Code, StorageError
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaBegan, SagaEnded, SagaLost, StepEnded
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga
from meristem.storage.database import Database
from meristem.storage.sqlite.driver import SqliteDriver

tables = MetaData()
NOTES = Table("note", tables, Column("id", Integer, primary_key=True), Column("value", Integer))
WRITES = {
    "INSERT INTO meristem_saga ": "saga",
    "UPDATE meristem_saga ": "state",
    "INSERT INTO meristem_saga_step": "step",
}


class Watched(SqliteDriver):
    """Lists what each commit of a journal held; `unconfirmed` counts down to one whose confirmation is lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, name="bookings", synchronous="normal")
        self.commits: list[list[str]] = []
        self.unconfirmed = 0

    def transaction(self) -> Any:
        transaction, driver = super().transaction(), self

        class Transaction:
            is_open = property(lambda _: transaction.is_open)
            run, abandon = transaction.run, transaction.abandon

            async def commit(self, steps: Any = ()) -> Any:
                outcome = await transaction.commit(steps)
                found = [kind for step in steps for start, kind in WRITES.items() if step.text.startswith(start)]
                if found:
                    driver.commits.append(found)
                    driver.unconfirmed -= 1
                    if driver.unconfirmed == 0:
                        raise StorageError("the confirmation was lost")
                return outcome

        return Transaction()


@pytest.fixture
def driver(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "bookings.db")


@pytest.fixture
async def database(driver: Watched, tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "bookings.db", driver) as made:
        await made.create(tables)
        yield made


class Noting(Bookings):
    """A service with steps of its own; those of a value in `gates` wait there."""

    def __init__(self, remote: Remote, database: Database) -> None:
        super().__init__(remote, database)
        self.gates: dict[int, asyncio.Event] = {}
        self.reached = asyncio.Event()
        self.refuses: set[int] = set()

    async def note(self, value: int) -> int:
        if value in self.gates:
            self.reached.set()
            await self.gates[value].wait()
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES), {"value": value})
        if value in self.refuses:
            raise CardDeclined(reason="after the row")
        return value

    async def forget(self, value: int) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES), {"value": -value})

    @saga
    async def visit(self, flow: Flow, value: int) -> int:
        await flow.with_undo(flow.step(self.note, value), self.forget)
        hold = await flow.with_undo(self.rooms.hold("a"), self.rooms.release)
        await flow.with_undo(flow.step(self.note, 2), self.forget)
        payment = await flow.with_undo(self.payments.charge(3), self.payments.refund)
        await flow.with_undo(flow.step(self.note, 4), self.forget)
        return value + hold.number + payment.amount

    async def call_and_note(self) -> int:
        await self.rooms.hold("inside")
        return await self.note(1)


async def notes(database: Database) -> list[int]:
    return await database.fetch_all(select(NOTES.c.value).order_by(NOTES.c.id), into=int)


async def positions(database: Database, saga_id: str) -> list[str]:
    return [step.position for step in (await SagaStore(database).show(saga_id)).steps]


async def test_the_answer_of_a_call_and_the_step_after_it_are_one_commit(database, driver, remote):
    service = Noting(remote, database)
    async with engine(service, database):
        await service.visit(1)
    assert driver.commits[:4] == [["saga", "step"], ["step", "step"], ["step", "step"], ["state"]]
    assert await notes(database) == [1, 2, 4]


async def test_a_saga_that_ends_with_a_call_commits_the_answer_with_its_end(database, driver, remote):
    service = Bookings(remote)
    async with engine(service, database):
        await service.book(Request())
    assert driver.commits[:3] == [["saga"], ["step"], ["step", "state"]]


async def test_a_saga_without_a_step_is_one_commit(database, driver, remote):
    class Service(Bookings):
        @saga
        async def nothing(self, flow: Flow) -> int:
            return 7

    service = Service(remote)
    async with engine(service, database):
        with keyed("k"):
            assert await service.nothing() == await service.nothing() == 7
    assert driver.commits[0] == ["saga", "state"]


async def test_an_answer_that_might_be_another_next_time_is_journaled_at_once(database, driver, remote):
    class Service(Noting):
        @saga
        async def look(self, flow: Flow) -> int:
            seen = await self.rooms.look("a")
            return await flow.step(self.note, seen)

    service = Service(remote, database)
    async with engine(service, database):
        await service.look()
    assert driver.commits[:4] == [["saga"], ["step"], ["step"], ["state"]]


async def test_a_saga_that_a_saga_calls_answers_again_so_its_answer_goes_with_the_next_commit(database, driver, remote):
    class Service(Noting):
        @saga
        async def outer(self, flow: Flow) -> int:
            inner = await flow.step(self.inner)
            return await flow.step(self.note, inner)

        @saga
        async def inner(self, flow: Flow) -> int:
            return 5

    service = Service(remote, database)
    async with engine(service, database):
        assert await service.outer() == 5
    assert driver.commits[:4] == [["saga"], ["saga", "state"], ["step", "step"], ["state"]]


async def test_an_answer_is_journaled_before_the_saga_sleeps(database, remote):
    class Service(Noting):
        @saga
        async def rest(self, flow: Flow) -> None:
            await self.rooms.hold("a")
            await flow.sleep(10_000.0)

    service, facts = Service(remote, database), Facts()
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.rest())
        await facts.until(SagaEnded, state="waiting")
        assert await positions(database, told("k", "rest")) == ["0", "1"]
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_saga_that_waits_for_events_is_stored_before_its_first_step(database, remote):
    """What came before its row is not for it."""

    class Service(Noting):
        @saga(waits=[PaymentSettled])
        async def patient(self, flow: Flow) -> int:
            await flow.step(self.note, 1)
            return (await flow.wait_for(PaymentSettled, key="blue", timeout=None)).amount

    service = Service(remote, database)
    service.gates[1] = asyncio.Event()
    async with engine(service, database) as running:
        asking = asyncio.ensure_future(service.patient())
        await service.reached.wait()
        assert len(await SagaStore(database).list()) == 1
        await running.on_event(PaymentSettled(room="blue", amount=9))
        service.gates[1].set()
        assert await asking == 9


async def test_an_interruption_between_an_answer_and_its_commit_has_the_call_repeated_under_its_key(database, remote):
    """The engine stops while the step after the call is under way; the callee gives its stored answer."""
    service, facts = Noting(remote, database), Facts()
    service.gates[2] = asyncio.Event()
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.visit(1))
        await service.reached.wait()
        assert await positions(database, told("k", "visit")) == ["0"]
    await asyncio.gather(asking, return_exceptions=True)
    service = Noting(remote, database)
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            assert await service.visit(1) == 1 + 1 + 3
    assert remote.calls[:2] == [("hold", f"{told('k', 'visit')}:1")] * 2
    assert remote.names() == ["hold", "charge"]
    assert await notes(database) == [1, 2, 4]
    assert [fact.position for fact in facts.all if isinstance(fact, StepEnded)] == ["0", "1", "2", "3", "4"]


async def test_a_step_that_fails_leaves_the_answer_before_it_in_the_journal(database, driver, remote):
    service = Noting(remote, database)
    service.refuses.add(2)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CardDeclined):
            await service.visit(1)
        shown = await SagaStore(database).show(told("k", "visit"))
    assert driver.commits[:2] == [["saga", "step"], ["step", "step"]]
    assert [(step.position, step.kind, step.state) for step in shown.steps] == [
        ("0", "local", "done"),
        ("1", "call", "done"),
        ("2", "local", "failed"),
        ("1", "undo", "done"),
        ("0", "undo", "done"),
    ]
    assert remote.names() == ["hold", "release"]
    assert await notes(database) == [1, -1]


async def test_an_undo_begins_when_the_answer_is_in_the_journal(database, driver, remote):
    class Service(Bookings):
        @saga
        async def fail(self, flow: Flow) -> None:
            await flow.with_undo(self.rooms.hold("a"), self.rooms.release)
            raise CardDeclined(reason="no")

    service = Service(remote)
    async with engine(service, database):
        with pytest.raises(CardDeclined):
            await service.fail()
    assert driver.commits[:4] == [["saga"], ["step", "state"], ["step"], ["state"]]
    assert remote.names() == ["hold", "release"]


async def test_a_first_step_that_fails_is_remembered_under_its_key(database, driver, remote):
    service, facts = Noting(remote, database), Facts()
    service.refuses.add(1)
    async with engine(service, database, observers=[facts]):
        for _ in range(2):
            with keyed("k"), pytest.raises(CardDeclined, match="after the row"):
                await service.visit(1)
    assert driver.commits[:3] == [["saga", "step"], ["state"], ["state"]]
    assert await notes(database) == []
    assert [type(fact) for fact in facts.all] == [SagaBegan, StepEnded, SagaEnded]


@pytest.mark.parametrize("value", [1, 9])
async def test_of_two_replicas_that_begin_with_one_key_one_leaves_no_trace(tmp_path, database, remote, value):
    """The slower one finds the other's saga when it commits; its caller gets that one's answer, or is refused."""
    facts = Facts()
    async with opened(tmp_path / "bookings.db") as other:
        first, second = Noting(remote, database), Noting(remote, other)
        first.gates[1], second.gates[value] = asyncio.Event(), asyncio.Event()
        async with engine(first, database), engine(second, other, observers=[facts]):
            with keyed("k"):
                asking = [asyncio.ensure_future(first.visit(1)), asyncio.ensure_future(second.visit(value))]
            await first.reached.wait()
            await second.reached.wait()
            first.gates[1].set()
            assert await asking[0] == 5
            second.gates[value].set()
            if value == 1:
                assert await asking[1] == 5
            else:
                with pytest.raises(CallError, match="used for another request"):
                    await asking[1]
    assert facts.all == []
    assert await notes(database) == [1, 2, 4]
    assert remote.names() == ["hold", "charge"]


async def test_of_two_replicas_the_slower_ones_caller_waits_for_the_others_saga(tmp_path, database, remote):
    remote.plans["hold"] = ["hang"]
    async with opened(tmp_path / "bookings.db") as other:
        first, second = Noting(remote, database), Noting(remote, other)
        second.gates[1] = asyncio.Event()
        async with engine(first, database), engine(second, other):
            with keyed("k"):
                also = asyncio.ensure_future(second.visit(1))
                await second.reached.wait()
                asking = asyncio.ensure_future(first.visit(1))
            await remote.reached.wait()
            second.gates[1].set()
            await asyncio.wait({also}, timeout=0.1)
            assert not also.done()
            remote.freed.set()
            assert await asking == await also == 5
    assert await notes(database) == [1, 2, 4]


async def test_a_commit_that_finds_its_lease_lost_writes_neither_the_answer_nor_the_step(database, remote):
    """An operator cancels while the step is under way: the call is asked for again, and taken back."""
    service, facts = Noting(remote, database), Facts()
    service.gates[2] = asyncio.Event()
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.visit(1))
        await service.reached.wait()
        await SagaStore(database).cancel(told("k", "visit"))
        service.gates[2].set()
        with pytest.raises(CallError, match="the saga was cancelled"):
            await asking
    assert [type(fact) for fact in facts.all if isinstance(fact, SagaLost)] == [SagaLost]
    assert [name for name, _ in remote.calls] == ["hold", "hold", "release"]
    assert await notes(database) == [1, -1]


@pytest.mark.parametrize("unconfirmed", [1, 2, 3])
async def test_a_commit_whose_confirmation_was_lost_is_not_repeated(database, driver, remote, unconfirmed):
    driver.unconfirmed = unconfirmed
    service, facts = Noting(remote, database), Facts()
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            assert await service.visit(1) == 5
        await facts.until(SagaEnded, state="done")
    assert [type(fact) for fact in facts.all] == [SagaBegan, *[StepEnded] * 5, SagaEnded]
    async with engine(service, database):
        assert await positions(database, told("k", "visit")) == ["0", "1", "2", "3", "4"]
    assert remote.names() == ["hold", "charge"]
    assert await notes(database) == [1, 2, 4]


@pytest.mark.parametrize("begin", [lambda service: service.visit(1), lambda service: service.book(Request())])
async def test_a_saga_whose_row_cannot_be_written_fails_for_its_caller(database, driver, remote, monkeypatch, begin):
    """Nobody outside has heard of it, and the key is as good as new."""

    def transaction() -> Any:
        raise StorageError("the disk is full")

    service = Noting(remote, database)
    async with engine(service, database) as running:
        with monkeypatch.context() as broken:
            broken.setattr(driver, "transaction", transaction)
            with pytest.raises(StorageError, match="disk is full"), keyed("k"):
                await begin(service)
        assert remote.calls == []
        with keyed("k"):
            await begin(service)
        await running.settle()
    assert remote.names() == ["hold", "charge"]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_journal_that_fails_before_a_call_says_nothing_of_that_call(
    database, driver, remote, monkeypatch, times
):
    """The saga is taken up again, as often as that takes, and goes on as if the answer had not come."""
    service = Bookings(remote)
    facts, transaction = Facts(), driver.transaction
    broken = iter([StorageError("the disk is full")] * times)

    def failing() -> Any:
        if remote.names() == ["hold"] and (error := next(broken, None)) is not None:
            raise error
        return transaction()

    monkeypatch.setattr(driver, "transaction", failing)
    async with engine(service, database, observers=[facts]):
        assert (await service.book(Request())).paid == 100
    assert [name for name, _ in remote.calls] == ["hold", "hold", "charge"]
    assert [fact.resumed for fact in facts.all if isinstance(fact, SagaBegan)] == [False, True]


async def test_a_saga_whose_take_over_was_not_confirmed_goes_on(database, driver, remote):
    """The journal says that it is worked on here, so nobody else would."""

    class Service(Noting):
        @saga
        async def rest(self, flow: Flow) -> int:
            await flow.sleep(0.05)
            return 7

    service, facts = Service(remote, database), Facts()
    async with engine(service, database, policy=replace(QUICK, longest_nap=0.0), observers=[facts]):
        asking = asyncio.ensure_future(service.rest())
        await facts.until(SagaEnded, state="waiting")
        driver.unconfirmed = 1
        assert await asking == 7
        assert driver.unconfirmed < 0


async def test_a_call_within_a_step_waits_until_the_saga_is_stored(database, driver, remote, monkeypatch):
    """A process that dies after that call finds the saga, and repeats the step."""
    stored, handle = [], remote.handle

    async def looking(call: Any) -> Any:
        stored.append([len(commit) for commit in driver.commits])
        return await handle(call)

    class Service(Noting):
        @saga
        async def nested(self, flow: Flow) -> int:
            await flow.step(self.call_and_note)
            await self.payments.charge(3)
            return await flow.step(self.call_and_note)

    monkeypatch.setattr(remote, "handle", looking)
    service = Service(remote, database)
    async with engine(service, database):
        assert await service.nested() == 1
    assert stored == [[1], [1, 1], [1, 1, 1]]
    assert driver.commits[:5] == [["saga"], ["step"], ["step"], ["step"], ["state"]]


async def test_a_saga_that_a_step_starts_waits_until_the_first_one_is_stored(database, driver, remote):
    class Service(Noting):
        @saga
        async def outer(self, flow: Flow) -> int:
            return await flow.step(self.start)

        async def start(self) -> int:
            return await self.inner()

        @saga
        async def inner(self, flow: Flow) -> int:
            return 5

    service = Service(remote, database)
    async with engine(service, database):
        assert await service.outer() == 5
    assert driver.commits[:4] == [["saga"], ["saga", "state"], ["step"], ["state"]]


async def test_steps_side_by_side_find_the_answer_before_them_in_the_journal(database, remote):
    class Service(Noting):
        @saga
        async def fan(self, flow: Flow) -> list[int]:
            hold = await self.rooms.hold("a")
            await asyncio.gather(flow.step(self.note, hold.number), self.rooms.hold("b"), flow.step(self.note, 2))
            last = await self.payments.charge(3)
            return [hold.number, last.number]

    service = Service(remote, database)
    async with engine(service, database):
        with keyed("k"):
            assert await service.fan() == [1, 3]
        shown = await positions(database, told("k", "fan"))
    assert sorted(shown) == ["0", "0/0", "1", "1/0", "2/0"]
    assert sorted(await notes(database)) == [1, 2]


async def test_a_call_that_begins_beside_a_step_waits_for_the_answer_which_that_step_commits(database, driver, remote):
    """A branch that sets out while the function's own step is under way."""

    class Service(Noting):
        @saga
        async def late(self, flow: Flow) -> None:
            may = asyncio.Event()

            async def branch() -> None:
                await may.wait()
                await self.payments.charge(3)

            task = asyncio.ensure_future(branch())
            await self.rooms.hold("a")
            may.set()
            await flow.step(self.note, 2)
            await task

    service = Service(remote, database)
    service.gates[2] = asyncio.Event()
    async with engine(service, database):
        asking = asyncio.ensure_future(service.late())
        await service.reached.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        assert remote.names() == ["hold"]
        service.gates[2].set()
        await asking
    assert remote.names() == ["hold", "charge"]
    assert driver.commits[:3] == [["saga"], ["step", "step"], ["step"]]


async def test_errors_of_calls_are_journaled_at_once(database, driver, remote):
    class Service(Noting):
        @saga
        async def tolerant(self, flow: Flow) -> int:
            try:
                await self.payments.charge(1)
            except CallError:
                self.seen.append("no")
            return await flow.step(self.note, 1)

    remote.plans["charge"] = [CallError(Code.FAILED_PRECONDITION, "no")]
    service = Service(remote, database)
    async with engine(service, database):
        await service.tolerant()
    assert service.seen == ["no"]
    assert driver.commits[:4] == [["saga"], ["step"], ["step"], ["state"]]
