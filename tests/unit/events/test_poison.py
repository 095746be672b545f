"""An event that ends its own process each time is told from those that a process merely had when it ended."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from meristem.events.direct import DirectBus
from meristem.events.facts import DeadLettered, Delivered
from meristem.events.poison import DEADLY, QUIET, Quarantine
from meristem.events.relay import Relay
from meristem.events.tables import OUTBOX
from meristem.storage.lease_tables import MEMBERS
from meristem.testing import ManualClock
from tests.suites.bus import Booked, Noted, Stage

LONG = 600.0  # seconds, beyond every pause
CRASHES = select(OUTBOX.c.crashes)
HOLDERS = select(func.coalesce(OUTBOX.c.member, 0))


class Life:
    """One process after another, with publisher and subscriber in one; its handler may never end."""

    def __init__(self, folder: Path, *, hangs: bool) -> None:
        self.clock = ManualClock()
        self.stage = Stage(folder, DirectBus(), self.clock)
        self.billing = self.stage.subscriber("billing")
        self.billing.before = self._handle
        self.most = self._now = 0  # handlers side by side
        self._hangs = hangs
        quarantine = Quarantine()
        quarantine.here.add("billing")
        self.stage.relay = Relay(self.stage.outbox, self.stage.bus, self.clock, pulse=self.clock, quarantine=quarantine)
        self.stage.relay.observers.append(self.stage.on_fact)

    async def _handle(self, _: object) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await (asyncio.Event().wait() if self._hangs else asyncio.sleep(0.01))
        finally:
            self._now -= 1

    async def begin(self) -> None:
        await self.stage.start()
        await self.clock.sleeping(1)

    async def passes(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def has_taken_over(self) -> None:
        """Return when it holds what the one before it has left."""
        async with asyncio.timeout(60):
            while await self.stage.database.fetch_all(HOLDERS, into=int) != [self.stage.lease.member]:
                await asyncio.sleep(0.01)

    async def crashes(self) -> list[int | None]:
        return [row["crashes"] for row in await self.stage.database.fetch_all(CRASHES)]


async def crashed(folder: Path, *, times: int, count: int = 1) -> None:
    """So many processes have ended with the events under way."""
    for number in range(times):
        life = Life(folder, hangs=True)
        await life.begin()
        if number == 0:
            await life.stage.publish(*(Noted(number=each) for each in range(count)))
        async with asyncio.timeout(60):
            while len(life.billing.seen) < (count if number < 2 else 1):
                await life.passes(LONG)
        await life.stage.vanish()


async def test_while_all_is_well_nothing_is_counted(tmp_path: Path):
    life = Life(tmp_path, hangs=True)
    await life.begin()
    await life.stage.publish(Noted(number=1))
    await life.billing.began()
    assert await life.crashes() == [None]
    await life.stage.vanish()


async def test_what_a_process_had_once_is_delivered_at_once_and_side_by_side(tmp_path: Path):
    await crashed(tmp_path, times=1, count=20)
    life = Life(tmp_path, hangs=False)
    await life.begin()
    await life.stage.emitted(Delivered, 20)
    assert life.most > 1
    await life.stage.settle()
    assert sorted(await life.billing.entries()) == list(range(20))
    await life.stage.stop()


async def test_what_was_under_way_when_a_process_ended_waits_is_handled_alone_and_is_cleared_by_it(tmp_path: Path):
    await crashed(tmp_path, times=2, count=3)
    life = Life(tmp_path, hangs=False)
    await life.begin()
    await life.stage.publish(Booked(guest="ada", number=10))
    await life.stage.emitted(Delivered, 1)
    assert life.billing.seen == [10]  # what is new does not wait
    await life.passes(QUIET)
    async with asyncio.timeout(60):
        while len(await life.billing.entries()) < 4:
            await life.passes(0.05)
    await life.stage.settle()
    assert life.most == 1
    assert sorted(await life.billing.entries()) == [0, 1, 2, 10]
    assert await life.stage.owed() == []
    await life.stage.stop()


async def test_an_event_alone_under_way_at_three_ends_after_two_others_is_a_dead_letter(tmp_path: Path):
    await crashed(tmp_path, times=DEADLY)
    life = Life(tmp_path, hangs=False)
    await life.begin()
    await life.stage.emitted(DeadLettered)
    [dead] = await life.stage.letters()
    assert dead.error == (
        "PoisonedError: the process of billing ended 5 times while it had this event under way, "
        "and nothing else of billing the last 3 times"
    )
    assert dead.attempts == DEADLY
    assert life.billing.seen == []
    assert await life.stage.dead.redrive() == 1
    await life.stage.relay.scan()
    await life.stage.emitted(Delivered, 1)  # from the beginning
    await life.stage.stop()


async def test_each_end_makes_the_pause_longer_so_that_another_cause_ends_the_process_without_the_event(tmp_path: Path):
    await crashed(tmp_path, times=DEADLY - 1)
    life = Life(tmp_path, hangs=True)
    await life.begin()
    await life.has_taken_over()
    await life.passes(15 * QUIET)
    assert life.billing.seen == []
    await life.stage.vanish()
    life = Life(tmp_path, hangs=False)  # that end is not counted
    await life.begin()
    await life.has_taken_over()
    assert await life.crashes() == [DEADLY - 1]
    async with asyncio.timeout(60):
        while not life.billing.seen:
            await life.passes(QUIET)
    await life.stage.emitted(Delivered, 1)
    await life.stage.stop()


async def test_a_process_that_stops_in_order_counts_for_nothing(tmp_path: Path):
    await crashed(tmp_path, times=DEADLY - 1)
    life = Life(tmp_path, hangs=True)
    await life.begin()
    await life.has_taken_over()
    await life.stage.stop()
    life = Life(tmp_path, hangs=False)
    await life.begin()
    await life.stage.emitted(Delivered, 1)
    await life.stage.stop()


async def test_what_a_process_held_before_it_began_anew_ended_no_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    life = Life(tmp_path, hangs=True)
    await life.begin()
    await life.stage.publish(Noted(number=1))
    await life.billing.began()
    await life.stage.database.execute(delete(MEMBERS))
    await life.stage.lease.look()
    await life.stage.outbox.clear_up()
    assert await life.crashes() == [None]
    assert "begins anew" in caplog.text
    await life.stage.vanish()
