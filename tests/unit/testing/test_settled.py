"""`app.settled()` returns when nothing is left to happen, and says what is left when its time is over."""

import asyncio
from typing import Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from meristem import (
    Contract,
    Database,
    Event,
    Flow,
    Service,
    System,
    Undeliverable,
    on,
    once,
    operation,
    safe,
    saga,
)  # fmt: skip
from meristem.clock import SystemClock
from meristem.events.dead_letters import DeadLetters
from meristem.testing.manual_clock import ManualClock
from meristem.testing.running import running

BOTH = pytest.mark.parametrize("where", ["local", "wire"])
metadata = MetaData()
SEEN = Table("seen", metadata, Column("id", Integer, primary_key=True), Column("number", Integer))


class Ball(Event, package="settled.v1", key="name"):
    """A ball goes from one service to the other, `left` times."""

    name: str
    left: int


class Thrown(Event, package="settled.v1", key="name"):
    """On its way back."""

    name: str
    left: int


class Released(Event, package="settled.v1", key="name"):
    name: str


class Left(Contract, Protocol, package="settled.v1"):
    @operation
    async def throw(self, name: str, left: int) -> None: ...

    @operation
    async def release(self, name: str) -> None: ...


class Right(Contract, Protocol, package="settled.v1"):
    @safe
    async def caught(self) -> int: ...

    @once(timeout=0.2)
    async def hold(self, name: str) -> None: ...

    @once(timeout=0.2)
    async def trickle(self, name: str) -> None: ...


class LeftService(Left, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def throw(self, name: str, left: int) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Ball(name=name, left=left))

    async def release(self, name: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Released(name=name))

    @on(Thrown)
    async def back(self, ball: Thrown) -> None:
        await self.throw(ball.name, ball.left)


class RightService(Right, Service, tables=metadata):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.stubborn = 0
        self.closed = False

    async def caught(self) -> int:
        return int(await self.database.fetch_value(select(func.count()).select_from(SEEN)))

    @on(Ball, attempts=3, base=0.01, cap=0.02)
    async def catch(self, ball: Ball) -> None:
        if ball.name == "stubborn" and self.stubborn < 2:
            self.stubborn += 1
            raise RuntimeError("not yet")
        if self.closed:
            raise Undeliverable("nobody is here")
        async with self.database.begin() as tx:
            await tx.execute(insert(SEEN), {"number": ball.left})
            if ball.left:
                await tx.publish(Thrown(name=ball.name, left=ball.left - 1))

    @saga(waits=[Released])
    async def hold(self, flow: Flow, name: str) -> None:
        await flow.wait_for(Released, key=name, timeout=None)
        await flow.call(self.note, 1)

    @saga
    async def trickle(self, flow: Flow, name: str) -> None:
        for number in range(5):
            await flow.sleep(0.05)
            await flow.call(self.note, number)

    async def note(self, number: int) -> None:
        await self.database.execute(insert(SEEN), {"number": number})


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
        assert await app.client(Right).caught() == 5

        await app.client(Left).release("saga")
        await app.settled()
        assert await app.client(Right).caught() == 6


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
