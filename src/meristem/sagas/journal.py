"""The journal: the sagas of one service's database, who holds their leases, and the events that they wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from meristem.clock import Clock, SteadyTime
from meristem.contracts.codec import encode
from meristem.contracts.message import Event
from meristem.sagas import statements as sql
from meristem.sagas.forgetting import forget_events, forget_sagas
from meristem.sagas.records import EventRow, SagaRow, SagaState, StepRow
from meristem.storage.database import Database
from meristem.storage.lease import Lease, holder

_DOUBT_AFTER: Final = 60.0  # seconds: a machine that began with a wrong time of day has set it by then
_DOUBT_EACH: Final = 600.0
_PIECE: Final = 500  # events that are looked at together
_AT_REST: Final = (SagaState.DONE, SagaState.FAILED)


class Journal:
    """The sagas of one service's database; `waits` names the types of the events that each may wait for.

    When pauses end is told by a time of day that never steps, so that a clock that is set neither prolongs nor ends
    one while the process lives.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        lease: Lease,
        waits: Mapping[str, frozenset[str]],
    ) -> None:
        self.database = database
        self.lease = lease
        self._clock = clock
        self._passing = SteadyTime(clock)
        self._waits = waits
        self._doubted = clock.steady() + _DOUBT_AFTER - _DOUBT_EACH
        self._seen = self._reached = 0  # the last event up to which sagas were woken

    async def load(self, saga_id: str) -> SagaRow | None:
        """The saga of this id, whichever replica works on it."""
        return await self.database.fetch_one(sql.LOAD, {"id_": saga_id}, into=SagaRow)

    async def steps(self, saga_id: str) -> list[StepRow]:
        """Everything that was journaled of a saga."""
        return await self.database.fetch_all(sql.STEPS_OF, {"id_": saga_id}, into=StepRow)

    async def step(self, saga_id: str, row: StepRow) -> StepRow | None:
        """The journaled form of a step, if it has one."""
        where = {"id_": saga_id, "position_": row.position, "kind_": row.kind.value}
        return await self.database.fetch_one(sql.STEP, where, into=StepRow)

    async def claim(self, saga: SagaRow) -> bool:
        """Take a saga over as it was read; False when another replica was faster."""
        member = self.lease.member
        state = SagaState.RUNNING if saga.state is SagaState.WAITING else saga.state
        # With the fence and the state that were read: of two replicas that read the same row, one changes it.
        values = {
            "id_": saga.id,
            "fence_": saga.fence,
            "state_": saga.state.value,
            "v_state": state.value,
            "v_member": member,
            "v_updated": self.now(),
            "v_crashes": (ends := self.ends(saga)) or None,
        }
        if (await self.database.execute(sql.CLAIM, values)).rowcount != 1:
            return False
        saga.state, saga.member, saga.crashes = state, member, ends or None
        # From here on the last owner's writes change no row, however late they come.
        saga.fence, saga.attempts, saga.wake_at = saga.fence + 1, saga.attempts + 1, None
        return True

    def ends(self, saga: SagaRow) -> int:
        """How often a process ended that worked on a saga since it last came further.

        The last one is counted by the claim: a process that stops in order lets go of what it holds.
        """
        lease = self.lease
        ended = saga.member is not None and saga.member != lease.member and saga.member not in lease.former
        return (saga.crashes or 0) + ended

    async def is_held_elsewhere(self, saga: SagaRow) -> bool:
        """Whether another replica that lives works on a saga."""
        if saga.member is None or saga.member == self.lease.member:
            return False
        return await holder(self.database, saga.member) is not None

    async def claimable(self, limit: int) -> list[str]:
        """The sagas that no replica works on and one should: replicas that died, past wake-ups, events that came."""
        found = list(await self.database.fetch_all(sql.LAPSED, {"limit_": limit}, into=str))
        found += await self.database.fetch_all(sql.DUE, {"now_": self.now(), "limit_": limit}, into=str)
        found += await self._from_later(limit)
        piece = {"after_": self._seen, "limit_": _PIECE}
        while (last := await self.database.fetch_value(sql.CAME, piece)) is not None:
            found += await self.database.fetch_all(sql.ARRIVED, piece, into=str)
            piece["after_"] = self._reached = last
        return list(dict.fromkeys(found))

    async def _from_later(self, limit: int) -> Sequence[str]:
        """Sagas that fell asleep later than it is: by another clock, or before this one was set back.

        They are woken to see how much is left of their pauses, which may be far less than it seems.
        """
        if self._clock.steady() - self._doubted < _DOUBT_EACH:
            return ()
        found = await self.database.fetch_all(sql.FROM_LATER, {"now_": self.now(), "limit_": limit}, into=str)
        if len(found) < limit:
            self._doubted = self._clock.steady()
        return found

    def claimed(self) -> None:
        """What `claimable` found was taken up: the events behind it need not be looked at again."""
        # Where writers run side by side, an event may commit after a later one.
        if not self.database.writes_side_by_side:
            self._seen = self._reached

    async def next_wake(self) -> float | None:
        """Seconds until the pause of a sleeping saga ends; None where none has an end."""
        moment = await self.database.fetch_value(sql.NEXT_WAKE)
        return None if moment is None else (moment - self.now()).total_seconds()

    async def release(self) -> None:
        """Let go of every saga, so that another replica goes on at once."""
        await self.database.execute(sql.RELEASE, {"member_": self.lease.member})

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

    async def forget_events(self) -> None:
        """Delete events that no saga can wait for any more."""
        await forget_events(self.database, self._waits)

    async def forget_sagas(self, before: datetime) -> None:
        """Delete sagas that ended before then, with their steps."""
        await forget_sagas(self.database, before)

    def now(self) -> datetime:
        """The time of day by which the journal tells when pauses end: it does not step."""
        return self._passing.now()


def at_rest(saga: SagaRow) -> bool:
    """Whether nothing more happens to it by itself."""
    return saga.state in _AT_REST or saga.state is SagaState.PARKED
