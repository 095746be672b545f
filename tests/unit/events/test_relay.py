"""The relay: replicas, bounded memory, time limits, draining, and what it tells."""

import asyncio
import logging

import pytest
from sqlalchemy import insert, select, update

from meristem.context import Context, Identity, Trace, current, using
from meristem.errors import CallError, Code, MisuseError, StorageError
from meristem.events.bus import SubscriberAway
from meristem.events.direct import DirectBus
from meristem.events.facts import DeadLettered, Delivered, DeliveryRetried, Published
from meristem.events.policy import DeliveryPolicy
from meristem.events.relay import Relay
from meristem.events.sendable import Sendable
from meristem.events.tables import OUTBOX, SCHEMA
from meristem.storage.lease import PATIENCE
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.storage.scope import transaction_is_open
from meristem.testing import ManualClock
from tests.suites.bus import ENTRIES, PATIENT, Booked, Noted, Stage


@pytest.fixture
def unreported():
    """What is logged is in no report, which has no place for half a character."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def stage(tmp_path, clock):
    stage = Stage(tmp_path, DirectBus(), clock)
    yield stage
    await stage.stop()


async def ready(stage):
    """Start, and wait until the relay has looked around once, so that events go from memory."""
    await stage.start()
    await stage.clock.sleeping(len(stage.subscribers) + 1)


async def test_an_event_goes_from_the_commit_to_its_subscriber_without_a_read(stage):
    billing = stage.subscriber("billing")
    await ready(stage)
    statements = []
    stage.database.observers.append(lambda _, text, *rest: statements.append(text.split()[0]))
    async with stage.database.begin() as tx:
        await tx.execute(insert(ENTRIES).values(number=1))
        await tx.publish(Noted(number=1))
    await stage.settle()
    assert await billing.entries() == [1]
    assert statements == ["INSERT", "COMMIT", "DELETE"]


def lookups(subscriber):
    """Grows by each question whether the subscriber knows an event."""
    found = []

    def watch(_, text, *rest):
        if text.startswith("SELECT") and "meristem_inbox" in text:
            found.append(text)

    subscriber.database.observers.append(watch)
    return found


async def test_the_first_delivery_from_memory_asks_nothing_and_its_repetition_asks(stage):
    billing = stage.subscriber("billing")
    asked, failures = lookups(billing), iter([RuntimeError("the first attempt fails")])

    async def fail_once(_):
        if failure := next(failures, None):
            raise failure

    billing.before = fail_once
    await ready(stage)
    await stage.publish(Noted(number=1))
    await stage.emitted(DeliveryRetried)
    assert asked == []
    await stage.clock.advance(PATIENT.cap)
    await stage.settle()
    assert len(asked) == 1
    assert await billing.entries() == [1]


async def test_after_an_attempt_that_took_too_long_the_next_one_asks_and_what_was_handled_stays_so(stage):
    billing = stage.subscriber("billing", policy=DeliveryPolicy(attempts=2, timeout=0.2, base=1.0, cap=1.0))
    asked, receive = lookups(billing), billing.inbox.receive

    async def handle_and_hang(envelope, *, is_new):
        await receive(envelope, is_new=is_new)
        if is_new:
            await asyncio.Event().wait()

    billing.inbox.receive = handle_and_hang
    await ready(stage)
    await stage.publish(Noted(number=1))
    await stage.emitted(DeliveryRetried)
    assert asked == []
    await stage.clock.advance(1)
    await stage.settle()
    assert len(asked) == 1
    assert billing.seen == [1]


async def test_an_attempt_after_one_that_was_not_counted_asks(stage, monkeypatch):
    """A last attempt whose failure could not be recorded is made again under the same number."""
    billing = stage.subscriber("billing", policy=DeliveryPolicy(attempts=1, base=0.0, cap=1.0))
    asked, dead_letter = lookups(billing), stage.outbox.dead_letter
    tried = asyncio.Event()

    async def refuse(*_):
        tried.set()
        raise StorageError("the disk is full")

    async def fail(_):
        raise RuntimeError("down")

    billing.before = fail
    monkeypatch.setattr(stage.outbox, "dead_letter", refuse)
    await ready(stage)
    await stage.publish(Noted(number=1))
    await tried.wait()
    assert asked == []
    monkeypatch.setattr(stage.outbox, "dead_letter", dead_letter)
    await stage.clock.advance(1)
    await stage.emitted(DeadLettered)
    assert len(asked) == 1


async def test_what_comes_from_disk_is_looked_up(stage):
    billing = stage.subscriber("billing")
    asked = lookups(billing)
    await stage.database.start()
    await stage.database.upgrade([LEASE, SCHEMA])
    await stage.lease.start()
    await stage.outbox.start()
    stage.bus.subscribe("billing", billing.inbox.policies, billing.inbox.receive)
    await stage.publish(Noted(number=1))
    await billing.keeper.open()
    await stage.relay.start()
    await stage.emitted(Delivered)
    assert len(asked) == 1


async def test_the_handler_does_not_run_inside_the_publishers_call_but_continues_its_trace(stage):
    billing = stage.subscriber("billing")
    seen = []

    async def look(_):
        seen.append((current(), transaction_is_open()))

    billing.before = look
    await ready(stage)
    trace, user = Trace.start(sampled=True), Identity("u-1", "Ada")
    with using(Context(deadline=0.0, trace=trace, caller="web", user=user, key="k-1")):
        await stage.publish(Noted(number=1))
    await stage.settle()
    ((context, is_open),) = seen
    assert not is_open
    assert context.trace.trace_id == trace.trace_id
    assert (context.user, context.caller) == (user, "publisher")
    assert context.remaining() > 0
    assert context.key.endswith(":billing")


async def test_two_replicas_on_one_database_keep_the_order_of_a_key(tmp_path, clock):
    first, second = (Stage(tmp_path, DirectBus(), clock, owner=name) for name in ("a", "b"))
    here, there = first.subscriber("billing"), second.subscriber("billing")
    gate, order = asyncio.Event(), []

    async def note(event):
        order.append(event.number)
        if event.number == 1:
            await gate.wait()

    async def until(number):
        async with asyncio.timeout(60):
            while number not in order:
                await clock.advance(1)
                await second.outbox.depth()

    here.before = there.before = note
    await ready(first)
    await ready(second)
    await first.publish(Booked(guest="ada", number=1))
    await here.began()
    await clock.advance(10)  # the second has joined, the first has seen it
    await second.publish(Booked(guest="ada", number=2), Booked(guest="bob", number=10))
    await until(10)
    assert order == [1, 10]
    gate.set()
    await until(2)
    await first.settle()
    await second.settle()
    assert sorted(await here.entries()) == [1, 2, 10]
    await first.stop()
    await second.stop()


async def test_rows_of_a_replica_that_died_are_taken_over_when_its_lease_has_ended(tmp_path, clock):
    dead = Stage(tmp_path, DirectBus(), clock, owner="a")
    billing = dead.subscriber("billing")

    async def hang(_):
        await asyncio.Event().wait()

    billing.before = hang
    await ready(dead)
    await dead.publish(Booked(guest="ada", number=1))
    await billing.began()
    await dead.vanish()

    heir = Stage(tmp_path, DirectBus(), clock, owner="b")
    billing = heir.subscriber("billing")
    await ready(heir)
    await heir.publish(Booked(guest="ada", number=2))
    for _ in range(3):
        await heir.lease.look()
    assert await heir.lease.others() == 1
    for _ in range(PATIENCE - 3):
        await heir.lease.look()
    assert await heir.lease.others() == 0
    assert billing.seen == []
    while len(billing.seen) < 2:
        await clock.advance(1)
        await heir.outbox.depth()
    await heir.settle()
    assert await billing.entries() == [1, 2]
    await heir.stop()


async def test_what_does_not_fit_in_memory_waits_on_disk_in_order(stage):
    stage.relay = Relay(stage.outbox, stage.bus, stage.clock, window=10, width=4, pulse=stage.clock)
    billing = stage.subscriber("billing")
    gate = asyncio.Event()

    async def wait(_):
        await gate.wait()

    billing.before = wait
    await ready(stage)
    for number in range(100):
        await stage.publish(Booked(guest=str(number % 3), number=number))
    (depth,) = await stage.outbox.depth()
    assert depth.count == 100
    assert len(stage.relay._partitions["billing"].held) <= 10
    gate.set()
    await stage.settle()
    entries = await billing.entries()
    assert sorted(entries) == list(range(100))
    for guest in range(3):
        assert [number for number in entries if number % 3 == guest] == list(range(guest, 100, 3))


async def test_a_subscriber_that_hangs_does_not_delay_the_others(stage):
    billing, mail = stage.subscriber("billing"), stage.subscriber("mail")

    gate = asyncio.Event()

    async def hang(_):
        await gate.wait()

    billing.before = hang
    await ready(stage)
    for number in range(200):
        await stage.publish(Noted(number=number))
    await stage.emitted(Delivered, 200)
    assert len(mail.seen) == 200
    assert len(billing.seen) == 64
    gate.set()


async def test_an_attempt_that_takes_too_long_is_ended_and_tried_again(stage):
    billing = stage.subscriber("billing", policy=DeliveryPolicy(attempts=2, timeout=0.5, base=1.0, cap=1.0))

    async def hang(_):
        await asyncio.Event().wait()

    billing.before = hang
    await ready(stage)
    await stage.publish(Noted(number=1))
    (fact,) = await stage.emitted(DeliveryRetried)
    assert fact.error == "OperationError: no acknowledgement within 0.5 s"
    billing.before = None
    await stage.clock.advance(1)
    await stage.settle()
    assert await billing.entries() == [1]


async def test_a_subscriber_that_asks_for_time_gets_it(stage):
    billing = stage.subscriber("billing")

    async def shed(_):
        raise CallError(Code.RESOURCE_EXHAUSTED, "busy", retry_after=120.0)

    billing.before = shed
    await ready(stage)
    await stage.publish(Noted(number=1))
    (fact,) = await stage.emitted(DeliveryRetried)
    assert fact.delay >= 120.0


async def test_draining_finishes_what_is_in_flight_and_leaves_the_rest_in_the_outbox(stage):
    billing = stage.subscriber("billing")
    gate = asyncio.Event()

    async def wait(_):
        await gate.wait()

    billing.before = wait
    await ready(stage)
    await stage.publish(Booked(guest="ada", number=1), Booked(guest="ada", number=2))
    await billing.began()
    draining = asyncio.create_task(stage.relay.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    gate.set()
    await draining
    await stage.publish(Booked(guest="ada", number=3))
    assert await billing.entries() == [1]
    (depth,) = await stage.outbox.depth()
    assert (depth.subscriber, depth.count) == ("billing", 2)


@pytest.mark.parametrize("wait", ["settle", "drain"])
async def test_a_removal_that_fails_for_good_holds_up_nobody_and_its_rows_stay(stage, caplog, monkeypatch, wait):
    billing = stage.subscriber("billing")
    await ready(stage)

    async def fail(_):
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(stage.outbox, "remove", fail)
        await stage.publish(Noted(number=1))
        await stage.emitted(Delivered)
        async with asyncio.timeout(60):
            await getattr(stage.relay, wait)()
    (depth,) = await stage.outbox.depth()
    assert depth.count == 1
    await stage.relay.stop()
    assert "RuntimeError: a bug" in caplog.text
    await stage.relay.start()
    await stage.publish(Noted(number=2))
    await stage.settle()
    assert await stage.outbox.depth() == []
    assert await billing.entries() == [1, 2]


async def test_stopping_in_the_middle_of_a_removal_leaves_nothing_to_wait_for(stage, monkeypatch):
    stage.subscriber("billing")
    await ready(stage)
    began = asyncio.Event()

    async def hang(_):
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(stage.outbox, "remove", hang)
    await stage.publish(Noted(number=1))
    await began.wait()
    await stage.relay.stop()
    assert stage.relay.is_settled


async def test_it_tells_what_it_does_and_survives_who_watches(stage, caplog):
    stage.subscriber("billing")
    stage.outbox.observers.append(stage.on_fact)
    stage.relay.observers.insert(0, lambda fact: 1 / 0)
    await ready(stage)
    await stage.publish(Noted(number=1))
    await stage.settle()
    assert stage.facts == [
        Published("suite.v1.Noted", 1, stage.outbox.source, Noted(number=1)),
        Delivered("suite.v1.Noted", "billing", 0.0, 1),
    ]
    assert "an observer of events failed on Delivered" in caplog.text


async def test_a_row_that_nobody_can_read_becomes_a_dead_letter(stage, caplog):
    billing = stage.subscriber("billing")
    stage.outbox.courier = None
    await stage.database.start()
    await stage.database.upgrade([LEASE, SCHEMA])
    await stage.lease.start()
    await stage.outbox.start()
    stage.bus.subscribe("billing", billing.inbox.policies, billing.inbox.receive)
    await stage.publish(Noted(number=1))
    await stage.database.execute(update(OUTBOX).values(body="{"))
    await billing.keeper.open()
    await stage.relay.start()
    await stage.emitted(DeadLettered)
    assert "run `meristem events redrive`" in caplog.text
    (letter,) = await stage.dead.list()
    assert letter.error.startswith("Undeliverable: not a CloudEvent")


@pytest.mark.usefixtures("unreported")
async def test_an_error_whose_text_no_database_keeps_is_a_dead_letter_all_the_same(stage):
    """A file's name may be no UTF-8, and no text of PostgreSQL's holds a NUL: the key's events waited for ever."""
    billing = stage.subscriber("billing", policy=DeliveryPolicy(attempts=1))

    async def fail(_):
        raise OSError("no file \udce9.txt\0")

    billing.before = fail
    await ready(stage)
    await stage.publish(Noted(number=1))
    await stage.emitted(DeadLettered)

    (letter,) = await stage.dead.list()
    assert letter.error == "OSError: no file ?.txt?"


async def test_attempts_are_recorded_while_the_event_waits(stage):
    billing = stage.subscriber("billing")

    async def fail(_):
        raise RuntimeError("down")

    billing.before = fail
    await ready(stage)
    await stage.publish(Noted(number=1))
    (fact,) = await stage.emitted(DeliveryRetried)
    row = await stage.database.fetch_one(select(OUTBOX.c.attempts, OUTBOX.c.due_at, OUTBOX.c.error))
    assert row is not None
    assert (row["attempts"], row["error"]) == (1, "RuntimeError: down")
    assert row["due_at"] == pytest.approx(stage.clock.now().timestamp() + fact.delay)
    assert fact.delay <= PATIENT.base * 2


class MortalBus(DirectBus):
    """Its subscribers live in a process that ends when it is handed the number 13, with all that it has then."""

    def __init__(self) -> None:
        super().__init__()
        self.end = asyncio.Event()
        self.ends = 0

    async def publish(self, envelope, destination, *, is_new=False):
        end = self.end
        if b'"number":13' in bytes(envelope.data):
            self.end, self.ends = asyncio.Event(), self.ends + 1
            end.set()
        elif self.ends == 0:
            await end.wait()
        if end.is_set():
            away = SubscriberAway("the connection broke")
            away.broke = True
            raise away
        await super().publish(envelope, destination, is_new=is_new)


async def test_an_event_that_ends_its_subscribers_process_is_set_aside_and_those_beside_it_are_handled(tmp_path, clock):
    stage = Stage(tmp_path, bus := MortalBus(), clock)
    billing = stage.subscriber("billing")
    await ready(stage)
    await stage.publish(*(Noted(number=number) for number in (1, 2, 13, 3)))
    async with asyncio.timeout(60):
        while not any(isinstance(fact, DeadLettered) for fact in stage.facts):
            await clock.advance(5.0)
    await stage.settle()
    [dead] = await stage.dead.list()
    assert sorted(await billing.entries()) == [1, 2, 3]
    assert dead.error == (
        "PoisonedError: the process of billing ended 5 times while it had this event under way, "
        "and nothing else of billing the last 3 times"
    )
    assert bus.ends == 5
    await stage.stop()


async def test_an_event_of_more_text_than_a_process_reads_is_refused_in_every_placement(stage):
    billing = stage.subscriber("billing")
    await ready(stage)
    stage.outbox._sendable_to_all = Sendable(values=5)
    for guest in ("ö" * 390, '"' * 390):  # either takes long to read, where it is sent
        with pytest.raises(MisuseError, match=r"more text that is not ASCII, or more quotes, .* \(`body_values`"):
            await stage.publish(Booked(guest=guest, number=1))
    await stage.publish(Booked(guest="a" * 700, number=2))
    await stage.settle()
    assert await billing.entries() == [2]


async def test_an_event_that_no_process_would_take_is_refused_with_what_was_written_beside_it(stage):
    billing = stage.subscriber("billing")
    await ready(stage)
    stage.outbox._sendable_to_all = Sendable(size=1000)
    with pytest.raises(MisuseError, match=r"suite.v1.Booked has \d+ bytes as it is sent, and a process takes 1000"):
        async with stage.database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(number=1))
            await tx.publish(Booked(guest='"' * 400, number=1))
    await stage.publish(Booked(guest="a" * 100, number=2))
    await stage.settle()
    assert await billing.entries() == [2]
    assert await stage.database.fetch_all(select(ENTRIES.c.number)) == []


async def test_a_key_that_no_index_would_take_is_refused_as_it_is_published(stage):
    billing = stage.subscriber("billing")
    await ready(stage)
    with pytest.raises(MisuseError, match=r"suite.v1.Booked: its key has 801 bytes, and 800 is the most"):
        await stage.publish(Booked(guest="a" * 801, number=1))
    with pytest.raises(MisuseError, match=r"suite.v1.Booked: its key has a control character"):
        await stage.publish(Booked(guest="a\0b", number=1))
    await stage.publish(Booked(guest="a" * 800, number=2))
    await stage.settle()
    assert await billing.entries() == [2]
