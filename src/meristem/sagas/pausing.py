"""Sleeping and waiting for events, so that neither needs the process to live on."""

from __future__ import annotations

from datetime import datetime

from meristem.lifecycle import first_of
from meristem.sagas.failures import WaitTimedOut, describe, write
from meristem.sagas.ops import Op, SleepOp, WaitOp
from meristem.sagas.records import StepRow, StepState
from meristem.sagas.running import Running


class Pausing:
    """Performs the pauses of one run."""

    def __init__(self, run: Running) -> None:
        self._run = run

    async def perform(self, op: Op) -> None:
        """Journal when the pause ends, wait, and journal that it has ended."""
        if not isinstance(op, SleepOp):
            raise TypeError(f"{op.name} is not a pause")
        run, row = self._run, op.row
        if row is None:
            row = op.new_row(run.saga.id, run.now())
            if isinstance(op, WaitOp) and await self._arrived(op, row):
                await run.keep(op, row)
                return
            await run.page.record(row)
        await (self._wait(op, row) if isinstance(op, WaitOp) else self._sleep(op, row))
        await run.keep(op, row, known=True)

    async def _sleep(self, op: SleepOp, row: StepRow) -> None:
        left = self._left(row.due)
        if left is not None and left > self._run.shop.policy.longest_nap:
            self._run.sleeps(op, row.due)
        await self._run.shop.clock.sleep(left or 0.0)
        self._run.wakes(op)
        row.state = StepState.DONE

    async def _wait(self, op: WaitOp, row: StepRow) -> None:
        run = self._run
        while True:
            run.nudge.clear()
            if await self._arrived(op, row):
                return
            left = self._left(row.due)
            if left is not None and left <= 0:
                error = WaitTimedOut(f"no {op.name} with the key {op.key!r} came within {op.seconds} seconds")
                row.error, row.state = write(describe(error)), StepState.FAILED
                return
            run.sleeps(op, row.due)
            await self._nudged(left)
            run.wakes(op)

    async def _arrived(self, op: WaitOp, row: StepRow) -> bool:
        found = await self._run.shop.journal.event(self._run.saga, op.name, op.key)
        if found is None:
            return False
        row.reply, row.event, row.state = found.body, found.id, StepState.DONE
        return True

    def _left(self, due: datetime | None) -> float | None:
        return None if due is None else (due - self._run.now()).total_seconds()

    async def _nudged(self, seconds: float | None) -> None:
        """Until an event may have come, or the time is over."""
        if seconds is None:
            await self._run.nudge.wait()
        else:
            await first_of(self._run.nudge.wait(), self._run.shop.clock.sleep(seconds))
