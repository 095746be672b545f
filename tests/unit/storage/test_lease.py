"""One lease for what replicas share out: who lives, who was taken for dead, and who has a duty."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from meristem.storage.database import Database, database_for
from meristem.storage.lease import MEMBERS, SCHEMA, Lease
from meristem.storage.owner import new_owner
from meristem.testing import ManualClock

REPLICA = Path(__file__).parent / "lease_replica.py"


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = database_for(url, name="service")
    await database.start()
    await database.upgrade([SCHEMA])
    yield database
    await database.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def members(database: Database) -> list[int]:
    return await database.fetch_all(select(MEMBERS.c.id).order_by(MEMBERS.c.id), into=int)


async def test_a_replica_that_is_alone_writes_nothing_to_live(database, clock):
    lease = Lease(database, "a")
    await lease.start()
    written: list[str] = []
    database.observers.append(lambda _, text, *rest: written.append(text) if text.startswith("UPDATE") else None)

    for _ in range(10):
        await lease.look()

    assert written == []
    await lease.stop()


async def test_replicas_that_look_around_in_turn_all_live(database, clock):
    leases = [Lease(database, name) for name in "abc"]
    for lease in leases:
        await lease.start()

    for _ in range(12):
        for lease in leases:
            await lease.look()

    assert await members(database) == [lease.member for lease in leases]
    for lease in leases:
        await lease.stop()
    assert await members(database) == []


async def test_one_that_falls_silent_is_buried_after_four_looks_and_begins_anew_when_it_comes_back(database, clock):
    hung, heir = Lease(database, "hung"), Lease(database, "heir")
    lost, freed = [], []
    hung.lost.append(lambda: lost.append(hung.member))
    heir.freed.append(lambda: freed.append(True))
    await hung.start()
    await heir.start()
    before = hung.member

    for _ in range(3):
        await heir.look()
    assert (await heir.others(), freed) == (1, [])
    await heir.look()
    assert (await heir.others(), freed) == (0, [True])

    await hung.look()
    assert lost == [hung.member]
    assert hung.member > heir.member > before
    await hung.stop()
    await heir.stop()


async def test_no_jump_of_the_clock_and_no_pause_of_the_one_that_looks_makes_others_look_dead(database, clock):
    one, other = Lease(database, "one"), Lease(database, "other")
    await one.start()
    await other.start()
    for _ in range(10):
        await clock.advance(86400.0)
        await one.look()
        await other.look()

    assert await members(database) == [one.member, other.member]
    await one.stop()
    await other.stop()


async def test_a_name_that_starts_again_takes_the_place_of_the_one_before_at_once(database, clock):
    before, again = Lease(database, "main-0"), Lease(database, "main-0")
    await before.start()
    await again.start()

    assert await members(database) == [again.member]
    await before.look()  # two of one name live side by side, each under its own number: they don't chase each other
    await again.look()
    assert await members(database) == [again.member, before.member]
    await before.stop()
    await again.stop()


async def test_a_process_that_is_gone_from_this_machine_is_buried_at_the_first_look(database, clock):
    lease, dead = Lease(database, "lease"), Lease(database, "dead")
    await dead.start()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    owner = new_owner().replace(f"|{os.getpid()}|", f"|{process.pid}|")
    await database.execute(update(MEMBERS).values(process=owner))

    await lease.start()

    assert await members(database) == [lease.member]
    await lease.stop()
    await dead._background.stop()


async def test_of_many_replicas_that_race_for_a_duty_one_has_it_and_keeps_it(url, clock):
    databases = [database_for(url, name="service") for _ in range(6)]
    for each in databases:
        await each.start()
    await databases[0].upgrade([SCHEMA])
    leases = [Lease(each, str(number)) for number, each in enumerate(databases)]
    for lease in leases:
        await lease.start()
    ran: list[str] = []

    def duty(name: str):
        async def work() -> None:
            ran.append(name)

        return work

    for _ in range(5):
        await asyncio.gather(*(lease.run_alone("sweep", duty(lease.name)) for lease in leases))

    assert len(ran) == 5
    assert len(set(ran)) == 1
    holder = next(lease for lease in leases if lease.name == ran[0])
    await holder.stop()
    ran.clear()
    await asyncio.gather(*(lease.run_alone("sweep", duty(lease.name)) for lease in leases if lease is not holder))
    assert len(ran) == 1
    for lease in leases:
        await lease.stop()
    for each in databases:
        await each.stop()


async def test_a_lost_lease_stops_the_run_of_a_duty(database, clock, caplog):
    hung, heir = Lease(database, "hung"), Lease(database, "heir")
    await hung.start()
    await heir.start()
    began, ended = asyncio.Event(), []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    run = asyncio.create_task(hung.run_alone("sweep", work))
    await began.wait()
    for _ in range(4):
        await heir.look()
    await hung.look()
    await run

    assert ended == [True]
    assert "hung lost its lease while it did sweep" in caplog.text
    await hung.stop()
    await heir.stop()


async def test_a_stopped_process_that_goes_on_finds_its_duty_gone(database, url, clock):
    process = await asyncio.create_subprocess_exec(sys.executable, REPLICA, url, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"has the duty\n"
        process.send_signal(signal.SIGSTOP)
        lease, ran = Lease(database, "heir"), []

        async def work() -> None:
            ran.append(True)

        await lease.start()
        await lease.run_alone("sweep", work)
        assert ran == []
        for _ in range(4):
            await lease.look()
        await lease.run_alone("sweep", work)
        assert ran == [True]

        process.send_signal(signal.SIGCONT)
        assert await process.stdout.readline() == b"was stopped\n"
        assert await process.stdout.readline() == b"has no duty\n"
        await lease.run_alone("sweep", work)
        assert ran == [True, True]
    finally:
        process.kill()
        await process.wait()
    await lease.look()
    assert await members(database) == [lease.member]
    await lease.stop()
