"""The inbox: once, in one unit of work, with the context of the event."""

import asyncio
from contextvars import ContextVar
from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from meristem.context import EMPTY, current
from meristem.contracts.message import Event
from meristem.errors import Undeliverable, WiringError
from meristem.events.cloudevents import read_json
from meristem.events.envelope import enclose
from meristem.events.inbox import Inbox
from meristem.events.subscription import on
from meristem.events.tables import INBOX, SCHEMA
from meristem.storage.database import database_for
from meristem.storage.scope import transaction_is_open
from meristem.testing import ManualClock

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TABLES = MetaData()
ENTRIES = Table("entries", TABLES, Column("number", Integer))


class Paid(Event, package="shop.v1"):
    number: int


class Ledger:
    def __init__(self, database):
        self.database = database
        self.runs = 0
        self.failure = None
        self.gate = None
        self.entered = asyncio.Event()

    async def began(self, count):
        while self.runs < count:
            self.entered.clear()
            await self.entered.wait()

    @on(Paid)
    async def book(self, event: Paid) -> None:
        self.runs += 1
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        async with self.database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(number=event.number))
        if self.failure is not None:
            raise self.failure


@pytest.fixture
async def database(database_url):
    database = database_for(database_url, name="ledger")
    await database.start()
    await database.upgrade([SCHEMA])
    await database.create(TABLES)
    yield database
    await database.stop()


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
async def ledger(database):
    return Ledger(database)


@pytest.fixture
async def inbox(ledger, database, clock):
    inbox = Inbox.of("ledger", ledger, database, clock)
    await inbox.start()
    yield inbox
    await inbox.stop()


def paid(number=1):
    return enclose(Paid(number=number), "//shop/payments", NOW, EMPTY)


async def count(database, table=ENTRIES):
    return await database.fetch_value(select(func.count()).select_from(table))


async def test_an_event_is_handled_once_however_often_it_comes(inbox, ledger, database):
    envelope = paid()
    for _ in range(3):
        await inbox.receive(envelope)
    assert (ledger.runs, await count(database)) == (1, 1)


async def test_a_new_event_is_not_looked_up_and_any_other_is(inbox, database):
    statements = []
    database.observers.append(lambda _, text, *rest: statements.append(text.split()[0]))
    await inbox.receive(paid(1), is_new=True)
    assert statements == ["INSERT", "COMMIT"]
    statements.clear()
    await inbox.receive(paid(2))
    assert statements == ["SELECT", "INSERT", "COMMIT"]


async def test_a_known_event_that_is_called_new_by_mistake_has_no_second_effect(inbox, ledger, database):
    envelope = paid()
    await inbox.receive(envelope)
    await inbox.receive(envelope, is_new=True)
    assert (ledger.runs, await count(database)) == (2, 1)


async def test_of_concurrent_deliveries_one_runs_and_the_others_wait_for_it(inbox, ledger, database):
    envelope, ledger.gate = paid(), asyncio.Event()
    deliveries = [asyncio.create_task(inbox.receive(envelope)) for _ in range(4)]
    other = asyncio.create_task(inbox.receive(paid(2)))
    await ledger.began(2)
    assert not any(each.done() for each in deliveries)
    ledger.gate.set()
    await asyncio.gather(*deliveries, other)
    assert (ledger.runs, await count(database)) == (2, 2)


async def test_when_the_first_of_concurrent_deliveries_fails_the_next_runs(inbox, ledger, database):
    envelope, ledger.failure = paid(), RuntimeError("no")
    first = asyncio.create_task(inbox.receive(envelope))
    with pytest.raises(RuntimeError):
        await first
    ledger.failure = None
    await inbox.receive(envelope)
    assert (ledger.runs, await count(database)) == (2, 1)


async def test_a_failed_handler_leaves_neither_its_rows_nor_a_record(inbox, ledger, database):
    ledger.failure = RuntimeError("no")
    with pytest.raises(RuntimeError):
        await inbox.receive(paid())
    assert await count(database) == 0
    assert await count(database, INBOX) == 0


async def test_two_processes_that_handle_one_event_together_have_one_effect(ledger, database, clock):
    here, there = (Inbox.of("ledger", ledger, database, clock) for _ in range(2))
    await here.start()
    envelope, ledger.gate = paid(), asyncio.Event()
    deliveries = [asyncio.create_task(each.receive(envelope)) for each in (here, there)]
    await ledger.began(2)
    ledger.gate.set()
    await asyncio.gather(*deliveries)
    assert (ledger.runs, await count(database)) == (2, 1)
    await here.stop()


async def test_the_handler_runs_in_the_context_of_the_event_and_no_transaction_is_open(database, clock):
    seen = []

    async def handle(_):
        seen.append((current().key, current().caller, current().remaining(), transaction_is_open()))

    inbox = Inbox("mail", database, {Paid: handle}, clock)
    await inbox.start()
    envelope = paid()
    await inbox.receive(envelope)
    ((key, caller, remaining, is_open),) = seen
    assert (key, caller, is_open) == (f"{envelope.id}:mail", "payments", False)
    assert 0 < remaining <= 30
    await inbox.stop()


async def test_what_a_handler_sets_in_a_context_variable_reaches_neither_its_relay_nor_the_next_event(clock):
    mood = ContextVar("mood", default="nobody's")
    seen = []

    class Moody:
        @on(Paid)
        async def feel(self, event: Paid) -> None:
            seen.append(mood.get())
            mood.set("the handler's")
            await asyncio.sleep(0)
            seen.append(mood.get())

    inbox = Inbox.of("moody", Moody(), None, clock)
    for number in (1, 2):
        await inbox.receive(paid(number))
        seen.append(mood.get())

    assert seen == ["nobody's", "the handler's", "nobody's"] * 2


async def test_without_a_database_an_event_is_handled_each_time_it_comes(clock):
    seen = []

    async def handle(event):
        seen.append(event.number)

    inbox = Inbox("mail", None, {Paid: handle}, clock)
    await inbox.start()
    envelope = paid()
    await inbox.receive(envelope)
    await inbox.receive(envelope)
    assert seen == [1, 1]
    await inbox.stop()


async def test_a_listener_sees_the_event_in_the_same_unit_of_work(database, clock):
    inbox = Inbox("sagas", database, {}, clock)
    seen = []

    async def listener(event, envelope):
        seen.append((event, envelope.id))
        async with database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(number=event.number))
        if len(seen) == 1:
            raise RuntimeError("no")

    inbox.listen(listener, [Paid])
    assert list(inbox.policies) == ["shop.v1.Paid"]
    await inbox.start()
    envelope = paid(7)
    with pytest.raises(RuntimeError):
        await inbox.receive(envelope)
    assert await count(database) == 0
    await inbox.receive(envelope)
    await inbox.receive(envelope)
    assert seen == [(Paid(number=7), envelope.id)] * 2
    assert await count(database) == 1
    await inbox.stop()


async def test_two_classes_of_one_event_type_are_refused(inbox):
    other = type(Paid)("Paid", (Event,), {"__annotations__": {}}, package="shop.v1")

    async def listener(event, envelope): ...

    with pytest.raises(WiringError, match=r"both are shop\.v1\.Paid"):
        inbox.listen(listener, [other])


def envelope_of(data, event_type="shop.v1.Paid"):
    return read_json(f'{{"specversion":"1.0","id":"1","source":"/x","type":"{event_type}","data":{data}}}')


async def test_fields_that_a_newer_publisher_added_are_ignored(inbox, database):
    await inbox.receive(envelope_of('{"number": 1, "currency": "EUR"}'))
    assert await count(database) == 1


@pytest.mark.parametrize(
    ("envelope", "why"),
    [
        (envelope_of('{"number": "one"}'), "does not fit Paid as ledger knows it: number: expected"),
        (envelope_of("{}"), "number: is required"),
        (envelope_of("null"), "its data: expected"),
        (envelope_of("{}", "shop.v1.Lost"), r"no handler for shop\.v1\.Lost"),
    ],
)
async def test_an_event_that_no_retry_helps_is_refused_with_the_reason(inbox, ledger, envelope, why):
    with pytest.raises(Undeliverable, match=why):
        await inbox.receive(envelope)
    assert ledger.runs == 0


async def test_old_records_are_forgotten_after_the_retention(inbox, database, clock):
    await inbox.receive(paid(1))
    await clock.sleeping()
    await clock.advance(20 * 86400)
    await inbox.receive(paid(2))
    await clock.sleeping()
    await clock.advance(3600)
    await clock.sleeping()
    assert await count(database, INBOX) == 2
    for seconds in (365 * 86400, -365 * 86400):  # a clock that is set forward for a while makes nothing old
        clock.step(seconds)
        await clock.advance(86400)
        await clock.sleeping()
        assert await count(database, INBOX) == 2
    for _ in range(10):  # it looks once a day, and then sleeps until the next
        await clock.advance(86400)
        await clock.sleeping()
    assert await count(database, INBOX) == 1
