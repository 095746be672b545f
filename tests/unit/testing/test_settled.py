"""`app.settled()` returns when nothing is left to happen, and says what is left when its time is over."""

import asyncio

import pytest
from systems import bouncing
from systems.bouncing import Ball, Left, LeftService, Right, metadata

from meristem import Database, System, Undeliverable, on
from meristem.clock import SystemClock
from meristem.events.dead_letters import DeadLetters
from meristem.testing.manual_clock import ManualClock
from meristem.testing.running import running

BOTH = pytest.mark.parametrize("where", ["local", "wire"])


class RightService(bouncing.RightService, tables=metadata):
    """Fails in more ways, and soon tries again."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.stubborn = 0
        self.closed = False

    @on(Ball, attempts=3, base=0.01, cap=0.02)
    async def catch(self, ball: Ball) -> None:
        if ball.name == "stubborn" and self.stubborn < 2:
            self.stubborn += 1
            raise RuntimeError("not yet")
        if self.closed:
            raise Undeliverable("the door is closed")
        await super().catch(ball)


SYSTEM = System("settled", services=[LeftService, RightService])


@BOTH
async def test_events_that_cause_events_are_waited_for(where):
    async with running(SYSTEM, where=where) as app:
        for number in range(5):
            await app.client(Left).throw(f"ball {number}", 9)
        await app.settled()
        assert await app.client(Right).caught() == 50


@BOTH
async def test_a_retry_is_waited_for_and_a_dead_letter_is_not(where):
    async with running(SYSTEM, where=where) as app:
        await app.client(Left).throw("stubborn", 0)
        await app.settled()
        assert await app.client(Right).caught() == 1


async def test_what_is_redriven_is_waited_for():
    async with running(SYSTEM) as app:
        right = app.instances["right"].service
        right.closed = True
        await app.client(Left).throw("ball", 0)
        await app.settled()
        assert await app.client(Right).caught() == 0

        right.closed = False
        assert await DeadLetters(app.instances["left"].database, SystemClock()).redrive() == 1
        await app.settled()
        assert await app.client(Right).caught() == 1


@BOTH
async def test_a_saga_that_runs_is_waited_for_and_one_that_waits_is_not(where):
    async with running(SYSTEM, where=where) as app:
        for begin in (app.client(Right).trickle, app.client(Right).hold):
            with pytest.raises(Exception, match="deadline_exceeded"):
                await begin("saga")
        await app.settled()
        assert await app.client(Right).caught() == 10

        await app.client(Left).release("saga")
        await app.settled()
        assert await app.client(Right).caught() == 11


async def test_who_runs_out_of_time_is_told_what_is_left():
    async with running(SYSTEM, clock=ManualClock()) as app:
        await app.client(Left).throw("stubborn", 0)
        with pytest.raises(Exception, match="deadline_exceeded"):
            await app.client(Right).trickle("saga")
        with pytest.raises(TimeoutError) as caught:
            await app.settled(timeout=0.2)

    assert str(caught.value) == (
        "not settled after 0.2 s: 1 of left's events for right, 1 of right's sagas running; the log may say why"
    )


async def test_a_system_in_which_nothing_happens_is_settled_at_once():
    async with running(SYSTEM) as app, asyncio.timeout(2):
        await app.settled()


async def test_processes_in_which_nothing_happens_are_settled(tmp_path, monkeypatch):
    text = "from meristem import Service, System\nclass Still(Service): ...\nsystem = System('still', services=[Still])"
    (tmp_path / "still.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    async with running("still.py:system", where="processes") as app:
        await app.settled()
