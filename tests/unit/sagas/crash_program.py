"""A program that kills itself with SIGKILL at every boundary of a saga in turn, restarts, and reports what is left.

`python crash_program.py DIRECTORY VARIANT` prints one JSON line per boundary: before and after each commit, each
effect of another service, each statement of a step of the service itself. The other services keep their effects in a
file of their own, once per key, as `@once` does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from msgspec.structs import replace
from sagakit import QUICK, Bookings, CardDeclined, Facts, Hold, Payment, Remote, Request, keyed, opened, unavailable
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from meristem.clock import SystemClock
from meristem.sagas.administration import SagaStore
from meristem.sagas.engine import SagaEngine
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.policy import Backoff
from meristem.sagas.saga import saga
from meristem.storage.lease import Lease
from meristem.storage.sqlite.driver import SqliteDriver

PATIENT = replace(QUICK, undo=Backoff(0.001, 0.005, attempts=50))
tables = MetaData()
NOTES = Table("note", tables, Column("id", Integer, primary_key=True), Column("value", Integer))


class Boundaries:
    """Counts the instants between two effects, and dies at the one it is told."""

    def __init__(self, deadly: int) -> None:
        self._left = deadly
        self.counted = False

    def cross(self) -> None:
        if self.counted:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Deadly(SqliteDriver):
    """A database that the program may not survive: before and after each commit is a boundary."""

    def __init__(self, path: Path, boundaries: Boundaries) -> None:
        super().__init__(path, name="bookings", synchronous="normal")
        self._boundaries = boundaries

    def transaction(self) -> Any:
        transaction, boundaries = super().transaction(), self._boundaries

        class Transaction:
            is_open = property(lambda _: transaction.is_open)
            run, abandon = transaction.run, transaction.abandon

            async def commit(self, steps: Any = ()) -> Any:
                boundaries.cross()
                outcome = await transaction.commit(steps)
                boundaries.cross()
                return outcome

        return Transaction()


class DurableRemote(Remote):
    """Services that outlive this program."""

    def __init__(self, path: Path, variant: str, boundaries: Boundaries) -> None:
        super().__init__()
        self._path, self._variant, self._boundaries = path, variant, boundaries

    async def handle(self, call: Any) -> Any:
        name, key = call.operation.name, call.context.key
        self._boundaries.cross()
        if name == "charge" and self._variant == "declined":
            raise CardDeclined(reason="empty")
        with sqlite3.connect(self._path) as db:
            db.execute("INSERT INTO asked VALUES (?, ?)", (name, key))
            db.execute("INSERT OR IGNORE INTO effect VALUES (?, ?)", (name, key))
            asked = db.execute("SELECT count(*) FROM asked WHERE name = ?", (name,)).fetchone()[0]
        db.close()
        self._boundaries.cross()
        if name == "charge" and self._variant == "uncertain" and asked < 4:
            raise unavailable(sent=True)
        if name == "refund" and asked < 3:
            raise unavailable(sent=True)
        return {"hold": Hold(room="blue", number=1), "charge": Payment(amount=1, number=2)}.get(name)


class Shop(Bookings):
    """Four steps: two of other services, two of its own."""

    variant = ""
    boundaries: Boundaries

    async def note(self, value: int) -> int:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(value=value))
            self.boundaries.cross()
        self.boundaries.cross()
        return value

    async def forget(self, value: int) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(value=-value))
            self.boundaries.cross()

    @saga(patience=0.0)
    async def buy(self, flow: Flow, request: Request) -> int:
        await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
        value = await flow.with_undo(flow.step(self.note, 1), self.forget)
        await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
        await flow.with_undo(flow.step(self.note, 2), self.forget)
        if self.variant == "bug":
            raise LookupError
        return value

    @saga(patience=0.0)
    async def own_first(self, flow: Flow, request: Request) -> int:
        """Begins and ends with steps of its own, and one of them calls another service."""
        await flow.with_undo(flow.step(self.note, 1), self.forget)
        payment = await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
        await flow.with_undo(flow.step(self.hold_and_note, request.room), self.forget)
        if self.variant == "own first, bug":
            raise LookupError
        return payment.amount

    async def hold_and_note(self, room: str) -> int:
        await self.rooms.hold(room)
        return await self.note(2)


async def run(folder: Path, variant: str, deadly: int, *, begin: bool) -> None:
    boundaries = Boundaries(deadly)
    async with opened(folder / "bookings.db", Deadly(folder / "bookings.db", boundaries)) as database:
        await database.create(tables)
        service = Shop(DurableRemote(folder / "remote.db", variant, boundaries), database)
        service.variant, service.boundaries = variant, boundaries
        facts = Facts()
        lease = Lease(database, "bookings", renewal=60.0)
        engine = SagaEngine(
            "bookings", service, database, SystemClock(), lease=lease, policy=PATIENT, observers=[facts]
        )
        boundaries.counted = not begin
        await lease.start()
        await engine.start()
        boundaries.counted = True
        if begin:
            ask = service.own_first(Request()) if variant.startswith("own first") else service.buy(Request())
            with keyed("k"):
                await asyncio.gather(ask, return_exceptions=True)
        elif await SagaStore(database).list():
            [found] = await SagaStore(database).list()
            if found.state not in ("done", "failed", "parked"):
                await facts.until(SagaEnded)
        await engine.stop()
        await lease.stop()


async def verdict(folder: Path) -> dict[str, Any]:
    async with opened(folder / "bookings.db") as database:
        await database.create(tables)
        sagas = await SagaStore(database).list()
        notes = await database.fetch_all(select(NOTES.c.value).order_by(NOTES.c.id), into=int)
    with sqlite3.connect(folder / "remote.db") as db:
        effects = [name for (name,) in db.execute("SELECT name FROM effect ORDER BY rowid")]
    db.close()
    return {"states": [each.state for each in sagas], "effects": effects, "notes": notes}


def child(work: Any) -> int:
    """Run in a process of its own; its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # what hangs is killed, and told by its exit status
        logging.disable()
        asyncio.run(work())
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(root: Path, variant: str) -> None:
    for deadly in range(1, 1000):
        folder = root / f"{variant}-{deadly}"
        folder.mkdir()
        with sqlite3.connect(folder / "remote.db") as db:
            db.execute("CREATE TABLE asked (name, key)")
            db.execute("CREATE TABLE effect (name, key, UNIQUE (name, key))")
        db.close()
        died = child(lambda: run(folder, variant, deadly, begin=True)) == -signal.SIGKILL  # noqa: B023
        again = child(lambda: run(folder, variant, 1 + deadly % 7, begin=False))  # noqa: B023 - dies while resuming
        last = child(lambda: run(folder, variant, 0, begin=False))  # noqa: B023
        report = {"boundary": deadly, "again": again, "last": last, **asyncio.run(verdict(folder))}
        print(json.dumps(report), flush=True)
        if not died:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
