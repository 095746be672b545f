"""Whatever a saga is made of, and between whatever writes of its journal it ends, each step is done once."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sagakit import Bookings, Facts, Hold, PaymentSettled, engine, keyed, opened, told
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from test_any_outcome import STEADY, Scripted

from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga
from meristem.storage.driver import Withdrawn
from meristem.storage.sqlite.driver import SqliteDriver

LONGEST = 5
CALLS, OWN = ("call", "undoable call"), ("own", "undoable own")
tables = MetaData()
NOTES = Table("note", tables, Column("id", Integer, primary_key=True), Column("value", Integer))


class Mortal(SqliteDriver):
    """A database before or after one commit of which the process stands still for ever."""

    def __init__(self, path: Path, deadly: int, dying: asyncio.Event) -> None:
        super().__init__(path, name="bookings", synchronous="normal")
        self.counted = False
        self._left, self._dying = deadly, dying

    async def _cross(self) -> None:
        self._left -= self.counted
        if self.counted and not self._left:
            self._dying.set()
            await asyncio.Event().wait()

    def transaction(self) -> Any:
        transaction, cross = super().transaction(), self._cross

        class Transaction:
            is_open = property(lambda _: transaction.is_open)
            run, abandon = transaction.run, transaction.abandon

            async def commit(self, steps: Any = ()) -> Any:
                try:
                    await cross()
                except asyncio.CancelledError as error:
                    raise Withdrawn from error  # nothing of it is committed
                outcome = await transaction.commit(steps)
                await cross()
                return outcome

        return Transaction()


class Mixed(Bookings):
    """A saga of steps of every kind, in the order that it is told; own steps count from 1 to have a sign."""

    @saga(patience=0.005, waits=[PaymentSettled])
    async def mixed(self, flow: Flow, kinds: list[str]) -> int:
        for number, kind in enumerate(kinds):
            if kind == "call":
                await self.rooms.hold(str(number))
            elif kind == "undoable call":
                await flow.with_undo(self.rooms.hold(str(number)), self.rooms.release)
            elif kind == "own":
                await flow.step(self.note, number + 1)
            elif kind == "undoable own":
                await flow.with_undo(flow.step(self.note, number + 1), self.forget)
            elif kind == "sleep":
                await flow.sleep(0.001)
            elif kind == "wait":
                with suppress(TimeoutError):
                    await flow.wait_for(PaymentSettled, key=str(number), timeout=0.001)
            else:
                raise LookupError
        return len(kinds)

    async def note(self, value: int) -> int:
        assert self.database is not None
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(value=value))
        return value

    async def forget(self, value: int) -> None:
        await self.note(-value)


class Watched(Scripted):
    """Remembers of each release how many notes had been forgotten before."""

    def __init__(self, file: Path, *scripts: list[list[str]]) -> None:
        super().__init__(*scripts)
        self.forgotten: list[tuple[int, int]] = []
        self._file = file

    def _reply(self, name: str, request: Any) -> Any:
        if name != "release":
            return Hold(room=request.room, number=0)
        with closing(sqlite3.connect(self._file)) as db:
            (count,) = db.execute("SELECT count(*) FROM note WHERE value < 0").fetchone()
        self.forgotten.append((int(request.room), count))
        return None


def scripts(*outcomes: str):
    return st.lists(st.lists(st.sampled_from(outcomes), max_size=3), min_size=LONGEST, max_size=LONGEST)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kinds=st.lists(st.sampled_from([*CALLS, *CALLS, *OWN, *OWN, "sleep", "wait", "bug"]), min_size=2, max_size=LONGEST),
    holds=scripts("fine", "fine", "fine", "taken", "lost", "dead", "broken", "stop"),
    releases=scripts("fine", "lost", "dead", "broken", "stop"),
    deaths=st.lists(st.integers(1, 14), max_size=3),
)
def test_each_finished_step_is_done_once_and_undone_in_reverse(kinds, holds, releases, deaths):
    remote, notes, state = asyncio.run(play(kinds, holds, releases, deaths))
    held = [int(room) for name, room in remote.effects if name == "hold"]
    released = [int(room) for name, room in remote.effects if name == "release"]
    noted, forgotten = [each - 1 for each in notes if each > 0], [-each - 1 for each in notes if each < 0]
    event(state)

    assert held == sorted(set(held))
    assert noted == sorted(set(noted))
    if state == "done":
        assert held == [number for number, kind in enumerate(kinds) if kind in CALLS]
        assert noted == [number for number, kind in enumerate(kinds) if kind in OWN]
        assert released == forgotten == []
        return
    assert state == "failed"
    done = {*held, *noted}
    undone = [number for number in reversed(range(len(kinds))) if number in done and "undoable" in kinds[number]]
    assert released == [each for each in undone if kinds[each] in CALLS]
    assert forgotten == [each for each in undone if kinds[each] in OWN]
    for room, count in remote.forgotten:  # the two orders are one
        assert count == len([each for each in undone[: undone.index(room)] if kinds[each] in OWN])


async def play(kinds: list[str], holds: Any, releases: Any, deaths: list[int]) -> tuple[Watched, list[int], str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.db"
        remote, lives = Watched(file, holds, releases), iter(deaths)
        while True:
            remote.reached.clear()
            facts, driver = Facts(), Mortal(file, next(lives, 0), remote.reached)
            async with opened(file, driver) as database:
                await database.create(tables)
                service = Mixed(remote, database)
                async with engine(service, database, policy=STEADY, observers=[facts]):
                    driver.counted = True
                    with keyed("k"):
                        asking = asyncio.ensure_future(service.mixed(kinds))
                    dying = asyncio.ensure_future(remote.reached.wait())
                    await asyncio.wait({asking, dying}, return_when=asyncio.FIRST_COMPLETED)
                    driver.counted = False  # of what is left to end it nothing is asked
                dying.cancel()
                await asyncio.gather(asking, dying, return_exceptions=True)
                if [fact for fact in facts.all if isinstance(fact, SagaEnded)] or not remote.reached.is_set():
                    notes = await database.fetch_all(select(NOTES.c.value).order_by(NOTES.c.id), into=int)
                    shown = await SagaStore(database).show(told("k", "mixed"))
                    return remote, list(notes), shown.saga.state.value
