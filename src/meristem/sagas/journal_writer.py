"""One saga's page of the journal: its owner alone writes there, and each commit takes along what is still owed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from msgspec.structs import astuple
from sqlalchemy.sql import Executable

from meristem.sagas import statements as sql
from meristem.sagas.journal import Journal
from meristem.sagas.records import SagaRow, SagaState, StepRow, StepState
from meristem.storage.scope import outside_units
from meristem.storage.unit import UnitOfWork


class LostLeaseError(Exception):
    """Another replica has taken the saga over: this one must stop and leave no further trace."""


class BegunElsewhereError(LostLeaseError):
    """The key of a new saga has begun one already: what was done here for it leaves no trace."""


class _Entry(NamedTuple):
    """A statement of the journal, and what it means that it changes no row."""

    statement: Executable
    values: dict[str, Any]
    otherwise: Exception


_SAGA: Final = tuple(f"v_{name}" for name in SagaRow.__struct_fields__)
_STEP: Final = tuple(f"v_{name}" for name in StepRow.__struct_fields__)


class JournalWriter:
    """The right to write to a saga, until somebody takes it over and raises the fence.

    A new saga's own row and the answer of a call may be owed: the next commit of the saga holds them too, so nothing
    is ever in the journal that stands on something which is not. Before anything outside can see what follows from
    what is owed, `pay` for it. `carrying` is held by the step whose commit
    takes along what is owed: others that write or pay meanwhile wait for it.
    """

    def __init__(self, journal: Journal, saga: SagaRow) -> None:
        self._journal = journal
        self._saga_id = saga.id
        self._fence = saga.fence
        self._new: SagaRow | None = None
        self._answers: list[StepRow] = []
        self._paid: list[Callable[[], None]] = []
        self.carrying = asyncio.Lock()
        self._paying = asyncio.Lock()

    @property
    def is_begun(self) -> bool:
        """Whether the saga's own row is in the journal."""
        return self._new is None

    @property
    def owes(self) -> bool:
        """Whether something happened that the journal does not have yet."""
        return self._new is not None or bool(self._answers)

    def begin(self, saga: SagaRow, begun: Callable[[], None]) -> None:
        """Owe a new saga's row."""
        self._new = saga
        self._paid.append(begun)

    def owe(self, row: StepRow, paid: Callable[[], None]) -> None:
        """Owe an answer that its callee gives again; `paid` is called once it is in the journal."""
        self._answers.append(row)
        self._paid.append(paid)

    async def pay(self) -> None:
        """Write what is owed now."""
        async with self.carrying:
            await self.pay_as_carrier()

    async def pay_as_carrier(self) -> None:
        """The same for the step that holds `carrying`, outside of its own unit of work."""
        await self._together([])

    async def record(self, row: StepRow) -> None:
        """Insert a step."""
        await self._write(self._recorded(row))

    def commit(self, unit: UnitOfWork, row: StepRow) -> None:
        """Insert a step with the commit of a unit of work, which fails if the lease is lost."""
        self._join(unit, [self._recorded(row)])

    async def answer(self, row: StepRow) -> None:
        """Store the answer of a step that is in the journal already."""
        names = ("state", "sequence", "reply", "error", "event", "attempts", "ended")
        values = {f"v_{name}": getattr(row, name) for name in names}
        where = {"position_": row.position, "kind_": row.kind.value}
        await self._write(self._mine(sql.ANSWER, {**values, **where}))

    async def begin_undo(self, saga: SagaRow, uncertain: list[StepRow]) -> None:
        """The saga has failed: remember why, and which steps may have happened, in one commit."""
        saga.state = SagaState.UNDOING
        for row in uncertain:
            row.state = StepState.UNCERTAIN
        await self._write(*(self._recorded(row) for row in uncertain), self._changed(saga))

    async def change(self, saga: SagaRow) -> None:
        """Store how far the saga has come; where it rests, nobody owns it."""
        await self._write(self._changed(saga))

    async def found(self, row: StepRow) -> StepRow | None:
        """A step whose commit happened though its confirmation was lost; what was owed went with it."""
        stored = await self._journal.step(self._saga_id, row)
        if stored is None or not self.owes:
            return stored
        if self._new is not None:
            saga = await self._journal.load(self._saga_id)
            if saga is None or saga.owner != self._journal.owner:
                raise BegunElsewhereError(self._saga_id)
        for paid in self._paid:
            paid()
        self._settled()
        return stored

    async def _write(self, *entries: _Entry) -> None:
        if self.owes or len(entries) > 1:
            async with self.carrying:
                await self._together(list(entries))
            return
        statement, values, otherwise = entries[0]
        if (await self._journal.database.execute(statement, values)).rowcount != 1:
            raise otherwise

    async def _together(self, entries: list[_Entry]) -> None:
        async with self._paying:
            if entries or self.owes:
                with outside_units():
                    async with self._journal.database.unit() as unit:
                        self._join(unit, entries)

    def _join(self, unit: UnitOfWork, entries: list[_Entry]) -> None:
        owed = [] if self._new is None else [self._created(self._new)]
        owed += [self._recorded(row) for row in self._answers]
        for statement, values, otherwise in (*owed, *entries):
            unit.at_commit(statement, values, otherwise=otherwise)
        if owed:
            for paid in self._paid:
                unit.after_commit(paid)
            unit.after_commit(self._settled)

    def _settled(self) -> None:
        self._new, self._answers, self._paid = None, [], []

    def _created(self, saga: SagaRow) -> _Entry:
        saga.owner, saga.lease_until = self._journal.owner, self._journal.lease_end()
        values = dict(zip(_SAGA, astuple(saga), strict=True))
        del values["v_horizon"]
        return _Entry(sql.CREATE, {**values, "id_": saga.id}, BegunElsewhereError(saga.id))

    def _recorded(self, row: StepRow) -> _Entry:
        return self._mine(sql.RECORD, dict(zip(_STEP, astuple(row), strict=True)))

    def _changed(self, saga: SagaRow) -> _Entry:
        active = saga.state in (SagaState.RUNNING, SagaState.UNDOING)
        values = {
            "v_state": saga.state.value,
            "v_result": saga.result,
            "v_error": saga.error,
            "v_problem": saga.problem,
            "v_resume": saga.resume and saga.resume.value,
            "v_owner": self._journal.owner if active else None,
            "v_lease_until": self._journal.lease_end() if active else None,
            "v_wake_at": saga.wake_at,
            "v_updated": self._journal.now(),
        }
        return self._mine(sql.CHANGE, values)

    def _mine(self, statement: Executable, values: dict[str, Any]) -> _Entry:
        values |= {"id_": self._saga_id, "fence_": self._fence}
        return _Entry(statement, values, LostLeaseError(self._saga_id))
