"""The journal: what a saga has done, written by whoever holds its fence and by nobody else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from meristem.clock import Clock
from meristem.contracts.codec import encode
from meristem.contracts.message import Event
from meristem.sagas import statements as sql
from meristem.sagas.policy import Policy
from meristem.sagas.rows import EventRow, SagaRow, State, StepRow, StepState
from meristem.storage.database import Database
from meristem.storage.unit import UnitOfWork

_AT_REST: Final = (State.DONE, State.FAILED)


class LostLeaseError(Exception):
    """Another replica has taken the saga over: this one must stop and leave no further trace."""


class Lease(msgspec.Struct, frozen=True):
    """The right to write to a saga, until somebody takes it over and raises the fence."""

    saga_id: str
    fence: int


def _row(values: Any) -> dict[str, Any]:
    return {f"v_{name}": value for name, value in msgspec.structs.asdict(values).items()}


class Journal:
    """The sagas of one service's database."""

    def __init__(self, database: Database, clock: Clock, policy: Policy, owner: str) -> None:
        self.database = database
        self.owner = owner
        self._clock = clock
        self._policy = policy

    async def load(self, saga_id: str) -> SagaRow | None:
        """The saga of this id, whoever works on it."""
        return await self.database.fetch_one(sql.LOAD, {"id_": saga_id}, into=SagaRow)

    async def steps(self, saga_id: str) -> list[StepRow]:
        """Everything that was journaled of a saga."""
        return await self.database.fetch_all(sql.STEPS_OF, {"id_": saga_id}, into=StepRow)

    async def step(self, saga_id: str, row: StepRow) -> StepRow | None:
        """The journaled form of a step, if it has one."""
        where = {"id_": saga_id, "position_": row.position, "kind_": row.kind.value}
        return await self.database.fetch_one(sql.STEP, where, into=StepRow)

    async def create(self, saga: SagaRow) -> bool:
        """Store a new saga, owned here; False when its id is known already. Fills in the horizon."""
        saga.owner, saga.lease_until = self.owner, self._lease_end()
        values = _row(saga)
        del values["v_horizon"]
        return (await self.database.execute(sql.CREATE, {**values, "id_": saga.id})).rowcount == 1

    async def record(self, lease: Lease, row: StepRow) -> None:
        """Insert a step."""
        values = {**_row(row), "id_": lease.saga_id, "fence_": lease.fence}
        await self._guarded(sql.RECORD, values)

    def commit(self, unit: UnitOfWork, lease: Lease, row: StepRow) -> None:
        """Insert a step with the commit of a unit of work, which fails if the lease is lost."""
        values = {**_row(row), "id_": lease.saga_id, "fence_": lease.fence}
        unit.at_commit(sql.RECORD, values, otherwise=LostLeaseError(lease.saga_id))

    async def answer(self, lease: Lease, row: StepRow) -> None:
        """Store the answer of a step that is in the journal already."""
        names = ("state", "sequence", "reply", "error", "event", "attempts", "ended")
        values = {f"v_{name}": getattr(row, name) for name in names}
        where = {"position_": row.position, "kind_": row.kind.value, "id_": lease.saga_id, "fence_": lease.fence}
        await self._guarded(sql.ANSWER, {**values, **where})

    async def begin_undo(self, lease: Lease, saga: SagaRow, uncertain: list[StepRow]) -> None:
        """The saga has failed: remember why, and which steps may have happened, in one commit."""
        saga.state = State.UNDOING
        async with self.database.begin():
            for row in uncertain:
                row.state = StepState.UNCERTAIN
                await self.record(lease, row)
            await self.change(lease, saga)

    async def change(self, lease: Lease, saga: SagaRow) -> None:
        """Store how far the saga has come; where it rests, nobody owns it."""
        active = saga.state in (State.RUNNING, State.UNDOING)
        values = {
            "v_state": saga.state.value,
            "v_result": saga.result,
            "v_error": saga.error,
            "v_problem": saga.problem,
            "v_resume": saga.resume and saga.resume.value,
            "v_owner": self.owner if active else None,
            "v_lease_until": self._lease_end() if active else None,
            "v_wake_at": saga.wake_at,
            "v_updated": self._clock.now(),
        }
        await self._guarded(sql.CHANGE, {**values, "id_": lease.saga_id, "fence_": lease.fence})

    async def _guarded(self, statement: Any, values: dict[str, Any]) -> None:
        if (await self.database.execute(statement, values)).rowcount != 1:
            raise LostLeaseError(values["id_"])

    async def claim(self, saga: SagaRow) -> bool:
        """Take a saga over as it was read; False when somebody was faster."""
        until = self._lease_end()
        state = State.RUNNING if saga.state is State.WAITING else saga.state
        values = {
            "id_": saga.id,
            "fence_": saga.fence,
            "state_": saga.state.value,
            "v_state": state.value,
            "v_owner": self.owner,
            "v_lease_until": until,
            "v_updated": self._clock.now(),
        }
        if (await self.database.execute(sql.CLAIM, values)).rowcount != 1:
            return False
        saga.state, saga.owner, saga.lease_until = state, self.owner, until
        saga.fence, saga.attempts, saga.wake_at = saga.fence + 1, saga.attempts + 1, None
        return True

    async def claimable(self, dead: list[str], limit: int) -> list[str]:
        """The sagas that nobody works on and somebody should: lapsed leases, past wake-ups, events that came."""
        now = self._clock.now()
        found: list[str] = []
        for statement, values in (
            (sql.LAPSED, {"now_": now, "dead_": dead, "limit_": limit}),
            (sql.DUE, {"now_": now, "limit_": limit}),
            (sql.ARRIVED, {"limit_": limit}),
        ):
            found += await self.database.fetch_all(statement, values, into=str)
        return list(dict.fromkeys(found))

    async def next_wake(self) -> float | None:
        """Seconds until the pause of a sleeping saga ends; None where none has an end."""
        moment = await self.database.fetch_value(sql.NEXT_WAKE)
        return None if moment is None else (moment - self._clock.now()).total_seconds()

    async def owners(self) -> list[str]:
        """Everybody who holds a lease."""
        return await self.database.fetch_all(sql.OWNERS, into=str)

    async def renew(self) -> None:
        """Prolong every lease held here."""
        await self.database.execute(sql.RENEW, {"owner_": self.owner, "v_lease_until": self._lease_end()})

    async def release(self) -> None:
        """Give every lease back, so that another replica goes on at once."""
        await self.database.execute(sql.RELEASE, {"owner_": self.owner})

    async def buffer(self, event: Event) -> None:
        """Keep an event for the sagas that wait, or will wait, for it."""
        values = {
            "type": event.event_type,
            "key": event.ordering_key(),
            "body": encode(event).decode(),
            "received": self._clock.now(),
        }
        await self.database.execute(sql.BUFFER, values)

    async def event(self, saga: SagaRow, type_: str, key: str) -> EventRow | None:
        """The first event of this type and key since the saga began that did not answer it yet."""
        values = {"type_": type_, "key_": key, "after_": saga.horizon, "id_": saga.id}
        return await self.database.fetch_one(sql.EVENT, values, into=EventRow)

    async def forget(self) -> None:
        """Delete events that no saga can wait for any more, and sagas that ended long ago."""
        seen = await self.database.fetch_value(sql.LAST_EVENT)
        before: datetime = self._clock.now() - timedelta(seconds=self._policy.retention)
        async with self.database.begin() as tx:
            await tx.execute(sql.FORGET_EVENTS, {"seen_": seen})
            await tx.execute(sql.FORGET_STEPS, {"before_": before})
            await tx.execute(sql.FORGET_SAGAS, {"before_": before})

    def _lease_end(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._policy.lease)


def at_rest(saga: SagaRow) -> bool:
    """Whether nothing more happens to it by itself."""
    return saga.state in _AT_REST or saga.state is State.PARKED
