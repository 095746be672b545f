"""Why a saga does not go on at this moment, since when, and what helps: read from what the journal holds of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from meristem.redaction import redact
from meristem.sagas.commands import signal_named
from meristem.sagas.failures import read
from meristem.sagas.origin import origin_of
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow, StepState, TryRow
from meristem.sagas.saga_views import Diagnosis, Relative, Why

_BY_ITSELF = "nothing: it goes on by itself"
_SOON = timedelta(seconds=5)  # in which a replica takes up what was cancelled, so that nothing is wrong yet


def diagnose(
    saga: SagaRow,
    steps: Sequence[StepRow],
    tries: Iterable[TryRow],
    *,
    replica: str | None,
    living: Sequence[str],
    now: datetime,
    children: Sequence[Relative] = (),
    kept: Collection[str] = (),
) -> list[Diagnosis]:
    """What a saga waits for; nothing of one that has ended. `replica` holds it, `living` are those of its service.

    `children` are the sagas that its steps began, `kept` the names of the signals that it has not read.
    """
    if saga.state is SagaState.PARKED:
        return [_parked(saga)]
    if saga.state in (SagaState.DONE, SagaState.FAILED):
        return []
    pauses = [_pause(row, kept) for row in steps if row.state is StepState.WAITING]
    if saga.state is SagaState.WAITING:
        is_due = saga.wake_at is not None and saga.wake_at <= now
        if is_due or not living:  # nobody would wake it, whatever comes
            since = saga.wake_at if is_due and saga.wake_at is not None else saga.updated
            return [_unheld(saga, since, living, now), *pauses]
        return pauses
    if replica is None:
        return [_unheld(saga, saga.updated, living, now), *pauses]
    if saga.state is SagaState.UNDOING:
        found = [_undo(saga, row) for row in steps if row.due is not None and _is_taken_back(row)]
    else:
        answered = {row.position for row in steps}
        found = [_try(saga, each) for each in tries if each.position not in answered]
    going = [each for each in children if each.state not in (None, SagaState.DONE, SagaState.FAILED)]
    answered = {row.position for row in steps}
    found += [_child(saga, steps, each) for each in going if each.position not in answered]
    found += pauses if saga.state is SagaState.RUNNING else []
    # What it has left to itself may be what it waits for by now, and the step that asks has no row yet.
    left = [each for each in going if each.position in answered]
    return found or [_under_way(saga, steps, replica, left)]


def _is_taken_back(row: StepRow) -> bool:
    return row.kind is Kind.UNDO or row.state is StepState.UNCERTAIN


def _parked(saga: SagaRow) -> Diagnosis:
    retry = f"mend what the text names, then `meristem sagas retry {saga.id}`"
    undo = f"; `meristem sagas cancel {saga.id}` undoes it instead"
    problem = redact(saga.problem) if saga.problem else None
    return Diagnosis(
        why=Why.PERSON, since=saga.updated, text="it is parked, and waits for a person", error=problem,
        helps=retry if saga.resume is SagaState.UNDOING else f"{retry}{undo}",
    )  # fmt: skip


def _unheld(saga: SagaRow, since: datetime, living: Sequence[str], now: datetime) -> Diagnosis:
    patches = "".join(f", the patch {each!r}" for each in origin_of(saga).patches)
    release = f"a release whose code has version {saga.version} of {saga.name!r}{patches}: another one leaves it alone"
    if living and saga.cancelled and saga.state is SagaState.RUNNING:
        text = "it was cancelled, and is not undone yet"
        helps = "that what was under way is answered, which tells what there is to undo"
        if now - since > _SOON:
            text, helps = f"{text}, though these live: {', '.join(living)}", f"{helps}; if nothing is, {release}"
    elif living:
        text = f"no replica has taken it up, though these live: {', '.join(living)}"
        helps = f"nothing within a second; after that {release}"
    else:
        text, helps = "no replica of its service lives", "start the system: the first replica goes on with it"
    return Diagnosis(why=Why.REPLICA, since=since, text=text, helps=helps)


def tried(row: TryRow) -> str:
    """What a step that is tried again has met, in a line."""
    return f"{row.name} is tried again, {_failed(row)}: {redact(read(row.error).message)}"


def _failed(row: StepRow | TryRow) -> str:
    return "1 attempt failed" if row.attempts == 1 else f"{row.attempts} attempts failed"


def _try(saga: SagaRow, row: TryRow) -> Diagnosis:
    return _again(saga, row, f"step {row.position} ({row.name})")


def _undo(saga: SagaRow, row: StepRow) -> Diagnosis:
    step = f"step {row.position}"
    if row.kind is Kind.UNDO:
        return _again(saga, row, f"the undo {row.name} of {step}")
    return _again(saga, row, f"{step} ({row.name}), which may have happened,")


def _again(saga: SagaRow, row: StepRow | TryRow, what: str) -> Diagnosis:
    helps = f"that {row.name} answers: then it goes on by itself; `meristem ps` and the log of its service tell more"
    if saga.state is SagaState.RUNNING and not saga.cancelled:
        helps = f"{helps}; `meristem sagas cancel {saga.id}` undoes it instead"
    return Diagnosis(
        why=Why.RETRY, since=row.started, text=f"{what} is tried again: {_failed(row)}", helps=helps,
        position=row.position, name=row.name, attempts=row.attempts, until=row.due,
        error=redact(read(row.error).message) if row.error else None,
    )  # fmt: skip


def _pause(row: StepRow, kept: Collection[str]) -> Diagnosis:
    if row.kind is Kind.SLEEP:
        why, text, helps = Why.SLEEP, f"step {row.position} sleeps", f"{_BY_ITSELF} then"
    elif (signal := signal_named(row.name)) is not None:
        why, text = Why.SIGNAL, f"step {row.position} waits for the signal {signal}"
        helps = f"to send it: by a handle, or `meristem sagas signal {row.saga_id} {signal} JSON`"
        if signal in kept:
            helps = f"{_BY_ITSELF} with the one that is kept"
    else:
        why, text = Why.EVENT, f"step {row.position} waits for {row.name}"
        helps = "who publishes it; `meristem events waiting` shows what is on its way"
    return Diagnosis(
        why=why, since=row.started, text=text, helps=helps, position=row.position, name=row.name, until=row.due
    )


def _since(saga: SagaRow, steps: Sequence[StepRow]) -> datetime:
    return max([saga.updated, *(row.ended for row in steps if row.ended is not None)])


def _child(saga: SagaRow, steps: Sequence[StepRow], child: Relative) -> Diagnosis:
    state = "" if child.state is None else f", which is {child.state.value}"
    return Diagnosis(
        why=Why.CHILD, since=_since(saga, steps), position=child.position, name=child.name,
        text=f"step {child.position} waits for the end of its child {child.name} {child.id}{state}",
        helps=f"what helps the child: `meristem sagas show {child.id}`",
    )  # fmt: skip


def _under_way(saga: SagaRow, steps: Sequence[StepRow], replica: str, left: Sequence[Relative]) -> Diagnosis:
    # Side by side, or while steps are undone, the next one is not known from those that have been answered.
    is_trunk = saga.state is SagaState.RUNNING and all(row.ended and row.position.isdecimal() for row in steps)
    position = str(len(steps)) if is_trunk else None
    what = "a step" if position is None else f"step {position}"
    helps = f"{_BY_ITSELF} once that is answered"
    if left:
        shown = ", ".join(f"`meristem sagas show {each.id}`" for each in left)
        helps += f"; should it ask for the end of a saga that it began and left, what helps that one: {shown}"
    return Diagnosis(
        why=Why.CALL, since=_since(saga, steps), text=f"{what} is under way at {replica}", helps=helps,
        position=position, replica=replica,
    )  # fmt: skip
