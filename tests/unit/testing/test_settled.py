"""`app.settled()` returns when nothing is left to happen, and says what is left when its time is over."""

import asyncio
import re
from typing import Protocol

import pytest
from systems import bouncing
from systems.bouncing import Ball, Left, LeftService, Right, metadata

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Event,
    Flow,
    SagaState,
    Service,
    System,
    Undeliverable,
    idempotent,
    on,
    once,
    saga,
    start_saga,
)
from meristem.clock import SystemClock
from meristem.events.dead_letters import DeadLetters
from meristem.testing import ManualClock, running

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


class Came(Event, package="naps.v1"):
    name: str


class Door(Contract, Protocol, package="naps.v1"):
    @idempotent
    async def open(self) -> None: ...


class Naps(Contract, Protocol, package="naps.v1"):
    @once
    async def nap(self, seconds: float) -> None: ...

    @once
    async def wait(self, seconds: float) -> str: ...

    @once
    async def insist(self) -> None: ...


class DoorService(Door, Service):
    closed = True

    async def open(self) -> None:
        if self.closed:
            raise CallError(Code.UNAVAILABLE, "closed")


class NapsService(Naps, Service):
    def __init__(self, door: Door) -> None:
        self.door = door

    @saga
    async def nap(self, flow: Flow, seconds: float) -> None:
        await flow.sleep(seconds)

    @saga(waits=[Came])
    async def wait(self, flow: Flow, seconds: float) -> str:
        try:
            await flow.wait_for(Came, timeout=seconds)
        except TimeoutError:
            return "nobody came"
        return "somebody came"

    @saga
    async def insist(self, flow: Flow) -> None:
        await self.door.open()


SYSTEM = System("settled", services=[LeftService, RightService])
NAPS = System("naps", services=[DoorService, NapsService])


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


async def test_an_event_that_is_refused_again_and_again_shows_its_traceback_once_and_a_line_for_each_attempt(caplog):
    class Stubborn(RightService, name="right", tables=metadata):
        @on(Ball, attempts=4, base=0.001, cap=0.002)
        async def catch(self, ball: Ball) -> None:
            raise RuntimeError("never")

    async with running(System("stubborn", services=[LeftService, Stubborn])) as app:
        await app.client(Left).throw("ball", 0)
        await app.settled()

    told = [each for each in caplog.records if each.name == "meristem.events"]
    assert [bool(each.exc_info) for each in told] == [True, False, False, False, False]
    assert all(each.getMessage().endswith(": RuntimeError: never") for each in told[1:])
    assert "is a dead letter after 4 attempts" in told[-1].getMessage()


async def test_what_is_redriven_is_waited_for():
    async with running(SYSTEM) as app:
        right = app.service(RightService)
        right.closed = True
        await app.client(Left).throw("ball", 0)
        await app.settled()
        assert await app.client(Right).caught() == 0

        right.closed = False
        assert await DeadLetters(app.database("left"), SystemClock()).redrive() == 1
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


@BOTH
async def test_a_saga_that_sleeps_on_a_clock_that_stands_still_is_at_rest_however_short_it_sleeps(where):
    clock = ManualClock()
    async with running(SYSTEM, where=where, clock=clock) as app:
        await start_saga(app.client(Right).trickle, "saga")
        for number in range(10):
            await app.settled()
            assert await app.client(Right).caught() == number  # neither too early nor more than it may have done
            await clock.advance(0.1)
        await app.settled()
        assert await app.client(Right).caught() == 10


async def test_a_wait_that_ends_by_its_time_is_settled_after_it():
    clock = ManualClock()
    async with running(NAPS, clock=clock) as app:
        waited = await start_saga(app.client(Naps).wait, 20.0)
        await app.settled()
        assert await waited.state() is SagaState.WAITING
        await clock.advance(20)
        await app.settled()
        assert await waited.state() is SagaState.DONE
        assert await waited.result() == "nobody came"


async def test_who_runs_out_of_time_is_told_what_is_left_and_until_when_it_pauses():
    async with running(SYSTEM, clock=ManualClock()) as app:
        await app.client(Left).throw("stubborn", 0)
        with pytest.raises(TimeoutError) as caught:
            await app.settled(timeout=0.2)

    assert re.sub(r"\.\d+\+", ".0+", str(caught.value)) == (
        "not settled after 0.2 s: 1 of left's events for right (paused until 2030-01-01 12:00:00.0+00:00: "
        "RuntimeError: not yet); the clock stands at 2030-01-01 12:00:00.0+00:00: advance it"
    )


async def test_a_saga_that_is_to_try_again_is_not_settled_until_the_clock_has_moved():
    clock = ManualClock()
    async with running(NAPS, clock=clock) as app:
        tried = await start_saga(app.client(Naps).insist)
        with pytest.raises(TimeoutError) as caught:
            await app.settled(timeout=0.2)
        assert f"saga insist {tried.id} of naps pauses before another Door.open until 2030-01-01 12:00:00." in str(
            caught.value
        )
        assert str(caught.value).endswith("advance it")
        app.service(DoorService).closed = False
        await clock.advance(1)
        await app.settled()
        assert await tried.state() is SagaState.DONE


async def test_a_saga_that_will_wake_by_itself_is_waited_for_and_named():
    async with running(NAPS) as app:
        nap = await start_saga(app.client(Naps).nap, 25.0)
        with pytest.raises(TimeoutError) as caught:
            await app.settled(timeout=0.2)
    assert f"saga nap {nap.id} of naps sleeps until 2" in str(caught.value)
    assert str(caught.value).endswith("the log may say why")


async def test_a_system_in_which_nothing_happens_is_settled_at_once():
    async with running(SYSTEM) as app, asyncio.timeout(2):
        await app.settled()


async def test_processes_in_which_nothing_happens_are_settled(tmp_path, monkeypatch):
    text = "from meristem import Service, System\nclass Still(Service): ...\nsystem = System('still', services=[Still])"
    (tmp_path / "still.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    async with running("still.py:system", where="processes") as app:
        await app.settled()
