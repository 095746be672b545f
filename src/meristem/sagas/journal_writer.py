"""The only writer of one saga's rows: each commit takes along what is still in the buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from msgspec.structs import astuple
from sqlalchemy.sql import Executable

from meristem.sagas import statements as sql
from meristem.sagas.journal import Journal
from meristem.sagas.records import SagaRow, SagaState, StepRow, StepState, TryRow
from meristem.storage.scope import outside_units
from meristem.storage.unit import UnitOfWork


class LostLeaseError(Exception):
    """Another replica has taken the saga over: this one must stop and leave no further trace."""


class BegunElsewhereError(LostLeaseError):
    """The key of a new saga has begun one already, or a twin of it: what was done here for it leaves no trace."""


class _Entry(NamedTuple):
    """A statement of the journal, and what it means that it changes no row; None where that means nothing."""

    statement: Executable
    values: dict[str, Any]
    otherwise: Exception | None


_SAGA: Final = tuple(f"v_{name}" for name in SagaRow.__struct_fields__)
_TRY: Final = tuple(f"v_{name}" for name in TryRow.__struct_fields__)
_STEP: Final = (*(f"v_{name}" for name in StepRow.__struct_fields__), "id_", "fence_")


class JournalWriter:
    """The right to write to a saga, until another replica takes it over and raises the fence.

    A new saga's own row and the answer of a call may be buffered: the next commit of the saga holds them too, so
    nothing is ever in the journal that stands on something which is not. Before anything outside can see what follows
    from the buffer, `flush` it.

    There are two locks. The order is `lock`, `_inner`, the database's writer, and neither is waited for with a
    transaction open: its holder may be waiting for that transaction to end.
    `lock` is held by whatever commits the buffer: by a flush, or by a step of the service, from before its first
    statement to its commit. What else writes or flushes meanwhile waits.
    `_inner` is for the calls that such a step makes side by side. Each flushes first, and can't take `lock`, which its
    own step holds; the first of them finds the buffer full, the others find it empty.
    """

    def __init__(self, journal: Journal, saga: SagaRow) -> None:
        self._journal = journal
        self._saga_id = saga.id
        self._is_suspected = bool(saga.crashes)
        self.on_survived: Callable[[], None] = _nothing  # called when a suspected one has come further
        self._fence = saga.fence  # as it was claimed: the row's may be raised while this one writes
        self._new: SagaRow | None = None
        self._twin: str | None = None
        self._answers: list[_Entry] = []
        self._callbacks: list[Callable[[], None]] = []
        self.lock = asyncio.Lock()
        self._inner = asyncio.Lock()

    @property
    def is_begun(self) -> bool:
        """Whether the saga's own row is in the journal."""
        return self._new is None

    @property
    def is_dirty(self) -> bool:
        """Whether something happened that the journal does not have yet."""
        return self._new is not None or bool(self._answers)

    def buffer_new(self, saga: SagaRow, twin: str | None, written: Callable[[], None]) -> None:
        """Buffer a new saga's row; `written` is called once it is in the journal, where no `twin` may be."""
        self._new, self._twin = saga, twin
        self._callbacks.append(written)

    def buffer_terms(self, terms: Iterable[tuple[str, str]]) -> None:
        """Buffer what a new saga is found by: name and term of each field."""
        for field, term in terms:
            values = {"saga_id": self._saga_id, "field": field, "term": term}
            self._answers.append(_Entry(sql.TERM, values, None))

    def buffer(self, row: StepRow, written: Callable[[], None]) -> None:
        """Buffer an answer that its callee gives again; `written` is called once it is in the journal."""
        self._answers.append(self._recorded(row))
        self._callbacks.append(written)

    def buffer_context(self, saga: SagaRow) -> None:
        """Buffer that a saga has taken a patch: whatever follows from it is in the same commit, or in a later one."""
        self._answers.append(self._mine(sql.CHANGE_CONTEXT, {"v_context": saga.context}))

    async def flush(self, *entries: _Entry, under_lock: bool = False) -> None:
        """Write what is in the buffer now, in one transaction; `under_lock`: for a step that holds `lock`."""
        if not (entries or self._answers or self._new is not None):
            return  # nothing to write, so nothing to wait for
        async with self._inner if under_lock else self.lock:
            whole = self._with_buffer(entries)  # after the wait, in which another may have written the buffer
            # The caller may be in a step's unit of work, whose rollback must not take the buffer away with it.
            with outside_units():
                if len(whole) > 1:
                    async with self._journal.database.unit() as unit:
                        self._add(unit, whole)
                elif whole:  # a statement alone needs no unit of work
                    statement, values, otherwise = whole[0]
                    changed = (await self._journal.database.execute(statement, values)).rowcount
                    if changed != 1 and otherwise is not None:
                        raise otherwise
                    self._on_written()
                if self._is_suspected:
                    await self._survived()

    async def record(self, row: StepRow) -> None:
        """Insert a step."""
        await self._write(self._recorded(row))

    def join(self, unit: UnitOfWork, row: StepRow) -> None:
        """Insert a step with the commit of a unit of work, which fails if the lease is lost."""
        self._add(unit, self._with_buffer((self._recorded(row),)))
        if self._is_suspected:
            unit.at_commit(sql.SURVIVED, {"id_": self._saga_id, "fence_": self._fence})
            unit.after_commit(self._is_no_suspect)

    async def answer(self, row: StepRow) -> None:
        """Store the answer of a step that is in the journal already."""
        names = ("state", "sequence", "reply", "error", "due", "event", "attempts", "ended")
        values = {f"v_{name}": getattr(row, name) for name in names}
        where = {"position_": row.position, "kind_": row.kind.value}
        await self._write(self._mine(sql.ANSWER, {**values, **where}))

    async def note(self, tried: TryRow) -> None:
        """Say for people why a step is tried again; of a saga that has no row yet there is nothing to be seen."""
        if not self.is_begun:
            return
        database, values = self._journal.database, dict(zip(_TRY, astuple(tried), strict=True))
        mine = {"id_": self._saga_id, "fence_": self._fence}
        changed = {name: values[name] for name in ("v_attempts", "v_error", "v_due")}
        again = {**mine, **changed, "position_": tried.position}
        if self._is_suspected:  # an attempt has ended, and the process lives
            await self._survived()
        if (await database.execute(sql.TRY_AGAIN, again)).rowcount == 1:
            return
        if (await database.execute(sql.TRY, {**mine, **values})).rowcount != 1:
            raise LostLeaseError(self._saga_id)

    async def begin_undo(self, saga: SagaRow, uncertain: list[StepRow]) -> None:
        """The saga has failed: remember why, and which steps may have happened, in one commit."""
        saga.state = SagaState.UNDOING
        for row in uncertain:
            row.state = StepState.UNCERTAIN
        await self._write(*(self._recorded(row) for row in uncertain), self._changed(saga))

    async def change(self, saga: SagaRow) -> None:
        """Store how far the saga has come; where it rests, it has no owner."""
        entries = [self._changed(saga)]
        if saga.state is SagaState.WAITING:
            # In the same transaction: the event may have come since the saga looked for it, and nobody looks again.
            entries.append(_Entry(sql.AWAKE, {"id_": self._saga_id, "fence_": self._fence}, None))
        if self._is_suspected:  # one that is parked for its ends is not to be found with them by `retry`
            entries.append(_Entry(sql.SURVIVED, {"id_": self._saga_id, "fence_": self._fence}, None))
        await self._write(*entries)

    async def found(self, row: StepRow) -> StepRow | None:
        """A step whose commit happened though its confirmation was lost; what was in the buffer went with it."""
        stored = await self._journal.step(self._saga_id, row)
        if stored is None or not self.is_dirty:
            return stored
        if self._new is not None:
            # The step may be that of another replica's saga under the same key, which commits the same positions.
            saga = await self._journal.load(self._saga_id)
            if saga is None or saga.member != self._journal.lease.member:
                raise BegunElsewhereError(self._saga_id)
        self._on_written()
        return stored

    async def _write(self, *entries: _Entry) -> None:
        if self.is_dirty or len(entries) > 1:
            await self.flush(*entries)
            return
        # In the unit of work that is open, if one is: an undo of the service's own commits with its row.
        statement, values, otherwise = entries[0]
        changed = (await self._journal.database.execute(statement, values)).rowcount
        if changed != 1 and otherwise is not None:
            raise otherwise
        if self._is_suspected:
            await self._survived()

    async def _survived(self) -> None:
        """What is journaled shows that the process lives, so the ends before are not this saga's doing."""
        await self._journal.database.execute(sql.SURVIVED, {"id_": self._saga_id, "fence_": self._fence})
        self._is_no_suspect()

    def _is_no_suspect(self) -> None:
        self._is_suspected = False
        self.on_survived()

    def _with_buffer(self, entries: tuple[_Entry, ...]) -> list[_Entry]:
        whole = [*self._answers, *entries]
        return whole if self._new is None else [self._created(self._new), *whole]

    def _add(self, unit: UnitOfWork, whole: list[_Entry]) -> None:
        for statement, values, otherwise in whole:
            unit.at_commit(statement, values, otherwise=otherwise)
        if self.is_dirty:
            unit.after_commit(self._on_written)

    def _on_written(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        self._new, self._answers = None, []
        for written in callbacks:
            written()

    def _created(self, saga: SagaRow) -> _Entry:
        saga.member = self._journal.lease.member
        values = dict(zip(_SAGA, astuple(saga), strict=True))
        del values["v_horizon"]
        return _Entry(sql.CREATE, {**values, "id_": saga.id, "twin_": self._twin}, BegunElsewhereError(saga.id))

    def _recorded(self, row: StepRow) -> _Entry:
        values = dict(zip(_STEP, (*astuple(row), self._saga_id, self._fence), strict=True))
        return _Entry(sql.RECORD, values, LostLeaseError(self._saga_id))

    def _changed(self, saga: SagaRow) -> _Entry:
        active = saga.state in (SagaState.RUNNING, SagaState.UNDOING)
        values = {
            "v_state": saga.state.value,
            "v_result": saga.result,
            "v_error": saga.error,
            "v_problem": saga.problem,
            "v_resume": saga.resume and saga.resume.value,
            "v_member": self._journal.lease.member if active else None,
            "v_wake_at": saga.wake_at,
            "v_updated": self._journal.now(),
        }
        return self._mine(sql.CHANGE, values)

    def _mine(self, statement: Executable, values: dict[str, Any]) -> _Entry:
        values |= {"id_": self._saga_id, "fence_": self._fence}
        return _Entry(statement, values, LostLeaseError(self._saga_id))


def _nothing() -> None:
    return
