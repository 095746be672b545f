"""What a person sees of sagas and does to them: list, show, retry what is parked, cancel what should not go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy.sql import Executable

from meristem.clock import Clock, SystemClock
from meristem.errors import CallError, Code
from meristem.redaction import redact
from meristem.sagas import statements as sql
from meristem.sagas.diagnosis import diagnose, tried
from meristem.sagas.failures import read
from meristem.sagas.family import children_of, parent_of
from meristem.sagas.forking import Fork, begin_fork, fork_of
from meristem.sagas.listing import Listing, tries_of
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaRow, SagaState, StepRow, TryRow
from meristem.sagas.saga import Definition
from meristem.sagas.saga_views import Diagnosis, KeptSignal, Relative, SagaDetails, SagaSummary, StepSummary
from meristem.sagas.search import typed_terms
from meristem.sagas.search_index import Searchable, searchable
from meristem.sagas.unread_signals import unread_signals
from meristem.storage.database import Database
from meristem.storage.lease import holder, replicas

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
GOING: Final = (SagaState.RUNNING, SagaState.WAITING, SagaState.UNDOING, SagaState.PARKED)


CANCELLABLE: Final = (SagaState.RUNNING, SagaState.WAITING, SagaState.PARKED)
# Of many that are changed at once: so that who writes beside it waits for one commit of them, and who asks sees how far
# it is, and can leave it at that.
PIECE: Final = 100  # sagas with each commit
PIECES: Final = 5
Place: TypeAlias = tuple[datetime, str]  # when a saga began, and its id


class ChangedSagas(NamedTuple):
    """Some that were changed, the newest first; where there may be more, these follow after the place `next`."""

    sagas: Sequence[SagaSummary]
    next: Place | None = None


class _Count(msgspec.Struct):
    state: SagaState
    count: int


class SagaStore:
    """The sagas of one service's database, for those who look at it from outside of the engine."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def list(
        self,
        *states: SagaState,
        name: str | None = None,
        before: datetime | None = None,
        since: datetime | None = None,
        after: Place | None = None,
        where: Mapping[str, str] = NOTHING,
        prefix: str = "",
        text: str = "",
        limit: int = 100,
    ) -> list[SagaSummary]:
        """Sagas, the newest first: in any of these states, of one name, begun before or since a time.

        With `after`, when the last one of a page began and its id, the page that follows. `where` are values of fields
        that sagas declare, as they are typed. With `prefix` those whose id begins so, with `text` also those that have
        it as the value of any such field.
        """
        terms = tuple(typed_terms(name, text) for name, text in where.items())
        begin = prefix or text
        found_by = {each.field for each in await self.searchable()} if text else ()
        asked = Listing(
            states=states, name=name, before=before, since=since, after=after, terms=terms,
            ids=tuple(await self.ids(begin)) if begin else None,
            or_terms=tuple(term for field in sorted(found_by) for term in typed_terms(field, text)),
        )  # fmt: skip
        found = await self._database.fetch_all(asked.statement().limit(limit), into=SagaRow)
        running = [saga.id for saga in found if saga.state is SagaState.RUNNING]
        rows = await self._database.fetch_all(tries_of(running), into=TryRow) if running else ()
        tries = {row.saga_id: row for row in reversed(rows)}  # of several the one that began first
        return [_summary(saga, tries.get(saga.id)) for saga in found]

    async def searchable(self) -> Sequence[Searchable]:
        """By which fields sagas are found, and whether old ones are already."""
        return await searchable(self._database)

    async def summary(self, saga_id: str) -> SagaSummary:
        """One saga in a line; CallError `not_found`."""
        return _summary(await self._load(saga_id))

    async def counts(self) -> dict[SagaState, int]:
        """How many sagas are in each state that is no end."""
        rows = await self._database.fetch_all(sql.COUNTS, into=_Count)
        return dict.fromkeys(GOING, 0) | {row.state: row.count for row in rows}

    async def show(self, saga_id: str, *, values: bool = False) -> SagaDetails:
        """A saga and its steps; with `values` also what it was given and what it got. CallError `not_found`."""
        saga, steps = await self.journal(saga_id)
        children = await children_of(self._database, saga, steps, self._clock.now())
        signals = await unread_signals(self._database, saga.id, values=values)
        return SagaDetails(
            saga=_summary(saga),
            steps=[_step(row, values=values) for row in sorted(steps, key=lambda row: (row.started, row.position))],
            fork_of=origin_of(saga).fork_of,
            parent=parent_of(saga),
            children=list(children),
            signals=list(signals),
            waits_for=[*await self._diagnosed(saga, steps, children, signals)],
            trace_id=None if (trace := origin_of(saga).trace) is None else trace.trace_id,
            details=redact(read(saga.error).details) if saga.error else "",
            input=saga.input if values else None,
            result=saga.result if values else None,
        )

    async def fork(self, saga_id: str, position: str, definition: Definition) -> Fork:
        """The fork of a saga at a step, not written yet; CallError where it makes no sense. See `forking`."""
        saga, steps = await self.journal(saga_id)
        now = self._clock.now()
        children = await children_of(self._database, saga, (), now) if saga.state is SagaState.PARKED else ()
        return fork_of(saga, steps, position, definition, now, children)

    async def begin(self, fork: Fork) -> SagaSummary:
        """Begin a fork; CallError `aborted` if the saga that it takes over has moved on."""
        await begin_fork(self._database, fork)
        return _summary(fork.saga)

    async def journal(self, saga_id: str) -> tuple[SagaRow, Sequence[StepRow]]:
        """A saga's rows as they are, values too; CallError `not_found`."""
        saga = await self._load(saga_id)
        return saga, await self._database.fetch_all(sql.STEPS_OF, {"id_": saga_id}, into=StepRow)

    async def unread(self, saga_id: str) -> Sequence[KeptSignal]:
        """The signals that are kept for a saga, and that it has not read."""
        return await unread_signals(self._database, saga_id)

    async def _diagnosed(
        self, saga: SagaRow, steps: Sequence[StepRow], children: Sequence[Relative], signals: Sequence[KeptSignal]
    ) -> Sequence[Diagnosis]:
        replica = None if saga.member is None else await holder(self._database, saga.member)
        tries = await self._database.fetch_all(tries_of([saga.id]), into=TryRow)
        living = await replicas(self._database)
        return diagnose(
            saga, steps, tries, replica=replica, living=living, now=self._clock.now(), children=children,
            kept={each.name for each in signals},
        )  # fmt: skip

    async def retry(self, saga_id: str) -> SagaSummary:
        """Let a parked saga go on where it stopped; CallError `failed_precondition` when it is not parked."""
        return await self._change(sql.RETRY, saga_id, "retried: it is {state}, only a parked saga waits for that")

    async def retry_some(self, *, name: str | None = None, after: Place | None = None) -> ChangedSagas:
        """Let parked sagas go on, or those of one name: the newest, or those that follow `after` others."""
        return await self._change_some(sql.RETRY_ONE_OF_MANY, (SagaState.PARKED,), name, after)

    async def cancel_some(self, *, name: str | None = None, after: Place | None = None) -> ChangedSagas:
        """Stop sagas that go on, or those of one name, and undo what they did; of which ones see `retry_some`."""
        return await self._change_some(sql.CANCEL_ONE_OF_MANY, CANCELLABLE, name, after)

    async def _change_some(
        self, statement: Executable, states: Sequence[SagaState], name: str | None, after: Place | None
    ) -> ChangedSagas:
        changed: list[SagaSummary] = []
        # By places, and not until none is left: one that goes on may be parked again at once.
        for _ in range(PIECES):
            page = await self.list(*states, name=name, after=after, limit=PIECE)
            if not page:
                return ChangedSagas(changed)
            after, now = (page[-1].created, page[-1].id), self._clock.now()
            async with self._database.unit() as unit:
                found = [
                    unit.fetch_at_commit(statement, {"id_": each.id, "v_updated": now}, into=SagaRow) for each in page
                ]
            changed += [_summary(saga) for rows in found for saga in rows]
            if len(page) < PIECE:
                return ChangedSagas(changed)
        return ChangedSagas(changed, after)

    async def cancel(self, saga_id: str) -> SagaSummary:
        """Stop a saga and undo what it did; CallError `failed_precondition` when it has ended or undoes of itself.

        What is under way is finished first, to know whether there is something to undo. One that was cancelled before
        stays so, however far its undoing is.
        """
        refusal = "cancelled: it is {state}, and only what goes on can be"
        try:
            return await self._change(sql.CANCEL, saga_id, refusal)
        except CallError as error:
            saga = await self._load(saga_id)
            if saga.cancelled:
                return _summary(saga)
            if saga.state is SagaState.PARKED and saga.resume is SagaState.UNDOING:
                text = f"{saga.name} {saga_id} is undone already, and parked meanwhile: `meristem sagas retry` it"
                raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False) from error
            raise

    async def ids(self, prefix: str) -> Sequence[str]:
        """The ids that begin so, a few at most, in order; an id that is given whole is the only one."""
        # Neighbours in the order of the key: neither a pattern nor a scan.
        found = await self._database.fetch_all(sql.FROM_ID, {"id_": prefix}, into=str)
        return [prefix] if prefix in found else [each for each in found if each.startswith(prefix)]

    async def _change(self, statement: object, saga_id: str, refusal: str) -> SagaSummary:
        values = {"id_": saga_id, "v_updated": self._clock.now()}
        changed = (await self._database.execute(statement, values)).rowcount  # type: ignore[arg-type]
        saga = await self._load(saga_id)
        if not changed:
            text = f"{saga.name} {saga_id} cannot be {refusal.format(state=saga.state.value)}"
            raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False)
        return _summary(saga)

    async def _load(self, saga_id: str) -> SagaRow:
        saga = await self._database.fetch_one(sql.LOAD, {"id_": saga_id}, into=SagaRow)
        if saga is None:
            raise CallError(Code.NOT_FOUND, f"there is no saga {saga_id!r} here", may_have_happened=False)
        return saga


def _summary(saga: SagaRow, again: TryRow | None = None) -> SagaSummary:
    return SagaSummary(
        id=saga.id,
        name=saga.name,
        version=saga.version,
        state=saga.state,
        created=saga.created,
        updated=saga.updated,
        attempts=saga.attempts,
        cancelled=saga.cancelled,
        member=saga.member,
        wake_at=saga.wake_at,
        problem=redact(saga.problem) if saga.problem else None,
        error=redact(read(saga.error).message) if saga.error else None,
        trying=None if again is None else tried(again),
    )


def _step(row: StepRow, *, values: bool) -> StepSummary:
    failure = read(row.error) if row.error else None
    return StepSummary(
        position=row.position,
        kind=row.kind.value,
        name=row.name,
        state=row.state.value,
        attempts=row.attempts,
        started=row.started,
        ended=row.ended,
        seconds=None if row.ended is None else (row.ended - row.started).total_seconds(),
        due=row.due,
        error=redact(failure.message) if failure else None,
        details=redact(failure.details) if failure else "",
        reply=row.reply if values else None,
    )
