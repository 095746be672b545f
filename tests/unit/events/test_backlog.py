"""A backlog: what waits on disk holds up neither its own keys nor new ones, alone or beside another replica."""

import asyncio

import pytest

from meristem.events.direct import DirectBus
from meristem.events.facts import Delivered
from meristem.events.relay import Relay
from meristem.testing import ManualClock
from tests.suites.bus import Booked, Noted, Stage


@pytest.fixture
async def stage(tmp_path):
    clock = ManualClock()
    stage = Stage(tmp_path, DirectBus(), clock)
    stage.relay = Relay(stage.outbox, stage.bus, clock, window=20, width=4, pulse=clock)
    stage.relay.observers.append(stage.on_fact)
    yield stage
    await stage.stop()


async def backlog(stage, billing, count=200, keys=10):
    """Let the subscriber hang and publish more than fits in memory; answers with what lets it go on."""
    gate = asyncio.Event()

    async def wait(_):
        await gate.wait()

    billing.before = wait
    await stage.start()
    await stage.clock.sleeping(len(stage.subscribers) + 1)
    for number in range(count):
        await stage.publish(Booked(guest=str(number % keys), number=number))
    return gate


def in_order(entries, keys=10):
    return all(
        [number for number in entries if number % keys == key] == sorted(n for n in entries if n % keys == key)
        for key in range(keys)
    )


async def test_an_event_of_a_fresh_key_is_not_behind_a_backlog(stage):
    billing = stage.subscriber("billing")
    gate = await backlog(stage, billing)

    await stage.publish(Booked(guest="fresh", number=1000))
    gate.set()
    await stage.settle()

    assert billing.seen.index(1000) < 20
    assert in_order([number for number in billing.seen if number < 1000])


async def test_who_waits_with_more_than_fits_in_memory_does_not_send_the_others_by_the_disk(stage):
    billing, mail = stage.subscriber("billing", Booked), stage.subscriber("mail", Noted)
    gate = await backlog(stage, billing)
    for _ in range(6):
        await stage.clock.advance(stage.outbox.poll)

    assert not stage.relay.accepts("billing")
    assert stage.relay.accepts("mail")
    await stage.publish(Noted(number=1))
    await mail.began()

    gate.set()
    await stage.settle()


async def test_a_later_event_of_a_key_that_waits_on_disk_stays_behind_it(stage):
    billing = stage.subscriber("billing")
    gate = await backlog(stage, billing)

    await stage.publish(Booked(guest="3", number=1003))
    gate.set()
    await stage.settle()

    assert [number for number in billing.seen if number % 10 == 3] == [*range(3, 200, 10), 1003]


async def test_the_many_events_of_one_key_do_not_fill_the_memory_while_others_wait_on_disk(stage):
    billing = stage.subscriber("billing")
    gate = await backlog(stage, billing, count=100, keys=1)
    stage.outbox.courier = None  # nothing here knows of what comes now but the disk
    await stage.publish(*(Booked(guest=f"z{number}", number=1000 + number) for number in range(5)))
    stage.outbox.courier = stage.relay

    gate.set()
    await stage.settle()

    assert max(billing.seen.index(1000 + number) for number in range(5)) < 60
    assert [number for number in billing.seen if number < 1000] == list(range(100))


async def test_beside_another_replica_a_backlog_drains_and_each_key_keeps_its_order(stage):
    billing = stage.subscriber("billing")
    gate = await backlog(stage, billing)
    other = Stage(stage.folder, stage.bus, stage.clock, owner="replica-1")
    other.relay = Relay(other.outbox, other.bus, stage.clock, window=20, width=4, pulse=stage.clock)
    await other.start()
    await stage.clock.advance(10.0)
    await other.publish(Booked(guest="3", number=1003), Booked(guest="fresh", number=1004))

    gate.set()
    async with asyncio.timeout(60):
        while len(billing.seen) < 202:
            await stage.clock.advance(1.0)
            await asyncio.sleep(0.01)

    assert sorted(billing.seen) == [*range(200), 1003, 1004]
    assert in_order([number for number in billing.seen if number != 1004])
    other.subscribers.clear()
    await other.relay.drain()
    await other.relay.stop()
    await other.outbox.stop()
    await other.lease.stop()
    await other.database.stop()


async def test_both_of_two_replicas_deliver_what_they_published_from_memory(stage):
    billing = stage.subscriber("billing")
    await stage.start()
    other = Stage(stage.folder, stage.bus, stage.clock, owner="replica-1")
    await other.database.start()
    await other.lease.start()
    await stage.clock.sleeping(len(stage.subscribers) + 1)
    await stage.clock.advance(5.0)
    statements = []
    stage.database.observers.append(lambda _, text, *rest: statements.append(text.split()[0]))

    await stage.publish(Booked(guest="ada", number=1))
    await stage.emitted(Delivered)

    assert billing.seen == [1]
    assert statements[:2] == ["SELECT", "COMMIT"]  # the question whether it is behind, and no claim
    assert "UPDATE" not in statements
    await other.lease.stop()
    await other.database.stop()


@pytest.fixture
async def beside(stage):
    """The lease of another replica, which lives."""
    stage.relay = Relay(stage.outbox, stage.bus, stage.clock, width=4, pulse=stage.clock)
    stage.relay.observers.append(stage.on_fact)
    other = Stage(stage.folder, stage.bus, stage.clock, owner="replica-1")
    yield other
    await other.lease.stop()
    await other.database.stop()


async def on_disk_beside(stage, other, count):
    """Start beside another replica, with so many events on disk alone."""
    await stage.start()
    await other.database.start()
    await other.lease.start()
    stage.outbox.courier = None
    await stage.publish(*(Booked(guest=str(number), number=number) for number in range(count)))
    stage.outbox.courier = stage.relay
    await stage.clock.sleeping(len(stage.subscribers) + 1)
    for _ in range(6):
        await stage.clock.advance(stage.outbox.poll)


async def test_beside_another_replica_a_relay_takes_what_it_soon_delivers_and_leaves_the_rest(stage, beside):
    billing, gate = stage.subscriber("billing"), asyncio.Event()

    async def wait(_):
        await gate.wait()

    billing.before = wait
    await on_disk_beside(stage, beside, 400)
    await billing.began()
    held = stage.relay._partitions["billing"].held
    async with asyncio.timeout(60):
        while len(held) < 128:
            await asyncio.sleep(0.01)
    for _ in range(3):  # looks around, and leaves what there is
        await stage.relay.scan()
        await stage.clock.advance(stage.outbox.poll)
    assert len(held) == 128

    gate.set()
    await stage.settle()
    assert sorted(billing.seen) == list(range(400))


async def test_what_waits_for_its_time_takes_nothing_of_a_share(stage, beside):
    billing, is_away = stage.subscriber("billing"), True

    async def meet_an_outage(_):
        if is_away:
            raise ConnectionError("the mail server is away")

    billing.before = meet_an_outage
    await on_disk_beside(stage, beside, 400)
    async with asyncio.timeout(60):
        while len(stage.relay._partitions["billing"].held) < 400:
            await stage.relay.scan()
            await asyncio.sleep(0.01)

    is_away = False
    async with asyncio.timeout(60):
        while len(await billing.entries()) < 400:
            await stage.clock.advance(1.0)
            await asyncio.sleep(0.01)
    assert sorted(await billing.entries()) == list(range(400))
