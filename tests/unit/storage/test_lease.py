"""One lease for what replicas share out: who lives, who was taken for dead, and who has a duty."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from meristem.errors import StorageError
from meristem.storage import lease as lease_module
from meristem.storage.database import Database, database_for
from meristem.storage.fence import LeaseLostError
from meristem.storage.lease import PATIENCE, RENEWAL, Lease
from meristem.storage.lease_tables import DUTIES, MEMBERS, SCHEMA
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


def lease_of(database: Database, name: str) -> Lease:
    """One that looks around, and says that it lives, only when it is told to."""
    return Lease(database, name, renewal=60.0)


async def members(database: Database) -> list[int]:
    return await database.fetch_all(select(MEMBERS.c.id).order_by(MEMBERS.c.id), into=int)


async def test_a_replica_that_is_alone_writes_nothing_to_live(database, clock):
    lease = lease_of(database, "a")
    await lease.start()
    written: list[str] = []
    database.observers.append(lambda _, text, *rest: written.append(text) if text.startswith("UPDATE") else None)

    for _ in range(10):
        await lease.look()

    assert written == []
    await lease.stop()


async def test_replicas_that_look_around_in_turn_all_live(database, clock):
    leases = [lease_of(database, name) for name in "abc"]
    for lease in leases:
        await lease.start()

    for _ in range(12):
        for lease in leases:
            await lease.look()

    assert await members(database) == [lease.member for lease in leases]
    for lease in leases:
        await lease.stop()
    assert await members(database) == []


async def test_one_that_falls_silent_is_buried_after_so_many_looks_and_begins_anew_when_it_comes_back(database, clock):
    hung, heir = lease_of(database, "hung"), lease_of(database, "heir")
    lost, freed = [], []
    hung.lost.append(lambda: lost.append(hung.member))
    heir.freed.append(lambda: freed.append(True))
    await hung.start()
    await heir.start()
    before = hung.member

    for _ in range(PATIENCE - 1):
        await heir.look()
    assert (await heir.others(), freed) == (1, [])
    await heir.look()
    assert (await heir.others(), freed) == (0, [True])

    await hung.look()
    assert lost == [hung.member]
    assert hung.member > heir.member > before
    await hung.stop()
    await heir.stop()


def test_a_loop_that_is_held_for_two_seconds_loses_no_lease_and_one_that_stands_still_is_noticed_within_four():
    before_the_first, after_the_last = RENEWAL, RENEWAL  # a beat that was due when it began, and a look just after it

    assert 2.0 + before_the_first <= (PATIENCE - 1) * RENEWAL
    assert PATIENCE * RENEWAL + after_the_last <= 4.0


async def test_a_replica_that_does_not_know_whether_a_commit_happened_begins_anew_under_another_number(database):
    lease, told = lease_of(database, "a"), []
    lease.lost.append(lambda: told.append("lost"))
    await lease.start()
    before = lease.member
    for doubt in database.doubts:
        doubt()
    await lease.look()
    assert told == ["lost"]
    assert await members(database) == [lease.member] != [before]
    await lease.look()
    assert told == ["lost"]
    await lease.stop()
    assert database.doubts == []


async def test_nothing_takes_the_new_number_before_all_have_forgotten_what_they_held(database):
    lease, told, seen = lease_of(database, "a"), [], set()
    lease.lost.append(lambda: told.append(lease.member))
    await lease.start()
    before = lease.member

    async def look_on() -> None:
        while not told:
            seen.add(lease.member)
            await asyncio.sleep(0)

    looking = asyncio.create_task(look_on())
    for doubt in database.doubts:
        doubt()
    await lease.look()
    await looking
    assert seen == {before}
    assert told == [lease.member] != [before]
    await lease.stop()


async def test_a_database_that_is_slow_for_all_buries_nobody(database, monkeypatch):
    silent, observer = lease_of(database, "silent"), lease_of(database, "observer")
    await silent.start()
    await observer.start()
    for _ in range(PATIENCE - 1):
        await observer.look()
    with monkeypatch.context() as slowly:
        slowly.setattr(lease_module, "SLOW", 0.0)
        for _ in range(2 * PATIENCE):
            await observer.look()
    for _ in range(PATIENCE):  # what was counted before says nothing any more
        await observer.look()
    assert await members(database) == [silent.member, observer.member]

    await observer.look()
    assert await members(database) == [observer.member]
    await observer.stop()
    await silent.stop()


async def test_a_look_that_fails_counts_for_nobodys_silence(database, monkeypatch):
    silent, observer = lease_of(database, "silent"), lease_of(database, "observer")
    await silent.start()
    await observer.start()
    for _ in range(PATIENCE - 1):
        await observer.look()

    async def fail(*_, **__):
        raise StorageError("the database is away")

    with monkeypatch.context() as away:
        away.setattr(database, "fetch_all", fail)
        with pytest.raises(StorageError):
            await observer.look()
    await observer.look()
    assert await members(database) == [silent.member, observer.member]
    await observer.stop()
    await silent.stop()


async def test_each_replica_is_told_that_rows_are_free_whoever_found_the_dead_one_or_where_it_left(database):
    leases = [lease_of(database, name) for name in ("hung", "first", "second")]
    hung, first, second = leases
    for each in leases:
        await each.start()
    freed = []
    second.freed.append(lambda: freed.append(True))
    await second.look()
    for _ in range(PATIENCE):
        await first.look()
    await second.look()
    assert freed == [True]

    await first.stop()
    await second.look()
    assert freed == [True, True]
    await second.stop()
    await hung.stop()


@pytest.mark.parametrize("joined", [True, False], ids=["in a unit", "by itself"])
async def test_what_a_run_writes_after_another_replica_has_its_duty_is_not_written(database, caplog, joined):
    hung, heir = lease_of(database, "hung"), lease_of(database, "heir")
    await hung.start()
    await heir.start()
    row = insert(DUTIES).values(name="written", member=0)
    buried, told = asyncio.Event(), []

    async def work() -> None:
        await buried.wait()
        try:
            if joined:
                async with database.begin() as tx:
                    await tx.execute(row)
            else:
                await database.execute(row)
        except LeaseLostError as lost:
            told.append(str(lost))
            raise

    run = asyncio.create_task(hung.run_alone("sweep", work))
    while await heir.inherit("sweep") or not hung._duties:
        await asyncio.sleep(0)
    for _ in range(PATIENCE):
        await heir.look()
    assert await heir.inherit("sweep")
    buried.set()
    await run

    assert told == ["hung was taken for dead: another replica does sweep, and nothing was written"]
    assert "hung lost its lease while it did sweep" in caplog.text
    assert await database.fetch_all(select(DUTIES.c.name), into=str) == ["sweep"]
    await hung.stop()
    await heir.stop()


async def test_what_a_run_writes_while_it_has_its_duty_is_written(database):
    lease = lease_of(database, "lease")
    await lease.start()

    async def work() -> None:
        await database.execute(insert(DUTIES).values(name="alone", member=0))
        async with database.begin() as tx:
            await tx.execute(insert(DUTIES).values(name="in a unit", member=0))

    await lease.run_alone("sweep", work)

    assert sorted(await database.fetch_all(select(DUTIES.c.name), into=str)) == ["alone", "in a unit", "sweep"]
    await lease.stop()


async def test_what_a_run_has_begun_beside_itself_writes_on_when_it_has_ended_well(database):
    lease, heir = lease_of(database, "lease"), lease_of(database, "heir")
    await lease.start()
    await heir.start()
    go, begun = asyncio.Event(), []

    async def later() -> None:
        await go.wait()
        await database.execute(insert(DUTIES).values(name="later", member=0))

    async def work() -> None:
        begun.append(asyncio.create_task(later()))

    await lease.run_alone("sweep", work)
    await lease.stop()
    assert await heir.inherit("sweep")
    go.set()
    await begun[0]

    assert "later" in await database.fetch_all(select(DUTIES.c.name), into=str)
    await heir.stop()


async def test_a_duty_is_inherited_of_the_dead_alone(database):
    holder, other = lease_of(database, "holder"), lease_of(database, "other")
    await holder.start()
    await other.start()
    assert not await other.inherit("sweep")  # nobody had it: its first run comes when it is due

    async def work() -> None:
        pass

    await holder.run_alone("sweep", work)
    assert not await other.inherit("sweep")
    await holder.stop()
    assert await other.inherit("sweep")
    assert not await other.inherit("sweep")
    await other.stop()


async def test_no_jump_of_the_clock_and_no_pause_of_the_one_that_looks_makes_others_look_dead(database, clock):
    one, other = lease_of(database, "one"), lease_of(database, "other")
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
    before, again = lease_of(database, "main-0"), lease_of(database, "main-0")
    await before.start()
    await again.start()

    assert await members(database) == [again.member]
    await before.look()  # two of one name live side by side, each under its own number: they don't chase each other
    await again.look()
    assert await members(database) == [again.member, before.member]
    await before.stop()
    await again.stop()


async def test_a_process_that_is_gone_from_this_machine_is_buried_at_the_first_look(database, clock):
    lease, dead = lease_of(database, "lease"), lease_of(database, "dead")
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
    leases = [lease_of(each, str(number)) for number, each in enumerate(databases)]
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
    hung, heir = lease_of(database, "hung"), lease_of(database, "heir")
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
    for _ in range(PATIENCE):
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
        lease, ran = lease_of(database, "heir"), []

        async def work() -> None:
            ran.append(True)

        await lease.start()
        await lease.run_alone("sweep", work)
        assert ran == []
        for _ in range(PATIENCE):
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
