"""Forks: a saga that begins anew at a step of another one, with the answers that one had before it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import asdict, replace

from meristem.contracts.codec import encode
from meristem.errors import CallError, Code
from meristem.sagas import statements as sql
from meristem.sagas.failures import describe, write
from meristem.sagas.family import parent_of
from meristem.sagas.origin import Origin, Past, origin_of, with_patches
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow, StepState
from meristem.sagas.saga import Definition
from meristem.sagas.saga_views import Relative
from meristem.storage.database import Database

LEFT: Final = "left to saga "
"""How the journal names what takes the place of the undo of a step that belongs to the saga it was copied from."""


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """A new saga and the steps it begins with. `again` are the steps of the other one that it does anew.

    `takes_over`: the other one waited for a person, and ends with the fork's begin; what was copied is the fork's.
    """

    original: SagaRow
    saga: SagaRow
    steps: list[StepRow]
    again: list[StepRow]
    takes_over: bool


def fork_of(
    saga: SagaRow,
    journal: Sequence[StepRow],
    position: str,
    definition: Definition,
    now: datetime,
    children: Sequence[Relative] = (),
) -> Fork:
    """The fork of a saga at a step; one that copies nothing begins with the version and the patches of the code.

    Raises CallError `failed_precondition` where it makes no sense, `not_found` for an unknown step, and `out_of_range`
    for one behind what was undone.
    """
    _check_state(saga, children)
    steps = [row for row in journal if row.kind is not Kind.UNDO]
    cut = _cut(saga, steps, position)
    copied = [row for row in steps if row.sequence and (cut is None or row.sequence < cut)]
    before = {row.position for row in copied}
    undos = [row for row in journal if row.kind is Kind.UNDO and row.position in before]
    _check_undone(saga, undos)
    new_id, takes_over = secrets.token_hex(16), saga.state is SagaState.PARKED
    left = {row.position: row for row in undos}
    if saga.state is SagaState.DONE:  # it relies on what it did, so a fork that fails must not take that back
        for row in copied:
            if row.kind in (Kind.CALL, Kind.LOCAL) and row.state is StepState.DONE:
                left.setdefault(row.position, _left_to(saga, row, now))
    made = SagaRow(
        id=new_id, name=saga.name, version=saga.version if copied else definition.version, state=SagaState.WAITING,
        input=saga.input, context=encode(_origin(saga, copied, definition)).decode(), seed=secrets.token_hex(16),
        created=now, updated=now, horizon=saga.horizon if takes_over else 0, wake_at=now, attempts=0, asked="",
    )  # fmt: skip
    return Fork(
        original=saga, saga=made, takes_over=takes_over,
        steps=[replace(row, saga_id=new_id) for row in (*copied, *left.values())],
        again=sorted((row for row in steps if row.sequence and row not in copied), key=lambda row: row.sequence),
    )  # fmt: skip


async def begin_fork(database: Database, fork: Fork) -> None:
    """Write a fork, and end the saga it takes over, in one commit; CallError `aborted` if that one has moved on."""
    original, now = fork.original, fork.saga.created
    text = f"saga {original.id} has moved on meanwhile: look at it again"
    moved = CallError(Code.ABORTED, text, may_have_happened=False)
    async with database.unit() as unit:
        saga = asdict(fork.saga)
        if fork.takes_over:
            ended = CallError(
                Code.CANCELED, f"an operator had it go on as saga {fork.saga.id}", may_have_happened=False
            )
            values = {"id_": original.id, "fence_": original.fence, "v_error": write(describe(ended)), "v_updated": now}
            unit.at_commit(sql.HAND_OVER, values, otherwise=moved)
        else:
            saga["horizon"] = await unit.fetch_value(sql.LAST_EVENT)  # a step that waits again waits for what comes
        unit.at_commit(sql.BEGIN, {f"v_{name}": value for name, value in saga.items()})
        unit.at_commit(sql.COPY_TERMS, {"to_": fork.saga.id, "id_": original.id})
        if fork.steps:
            rows: list[dict[str, Any]] = [asdict(row) for row in fork.steps]
            unit.at_commit(sql.COPY, rows)


def _check_state(saga: SagaRow, children: Sequence[Relative]) -> None:
    if saga.state is SagaState.PARKED and saga.resume is SagaState.UNDOING:
        raise _refused(saga, "is parked while it is undone: `meristem sagas retry` it until it is undone, then fork it")
    going = next((each for each in children if each.state not in (SagaState.DONE, SagaState.FAILED)), None)
    if going is not None:
        raise _refused(saga, f"has a child under way, {going.name} {going.id}: wait for its end, or cancel it first")
    if saga.state is SagaState.PARKED and (parent := parent_of(saga)) is not None:
        raise _refused(saga, f"is waited for by saga {parent.id}, which began it: retry or cancel it")
    if saga.state not in (SagaState.PARKED, SagaState.DONE, SagaState.FAILED):
        how = "goes on by itself: wait for its end, or `meristem sagas cancel` it and fork it once it is undone"
        if saga.cancelled:
            how = "cancelled: wait until it is undone, and fork it then"
        raise _refused(saga, f"is {saga.state.value} and {how}")


def _cut(saga: SagaRow, steps: list[StepRow], position: str) -> int | None:
    """The number of the first answer that is not copied; None where all are."""
    found = next((row for row in steps if row.position == position), None)
    if found is not None:
        return found.sequence or None
    # Where it was parked there is no answer, and so no row, in the trunk; a pause has one, and is begun anew itself.
    trunk = [row for row in steps if "/" not in row.position]
    is_next = saga.state is SagaState.PARKED and all(row.sequence for row in trunk) and position == str(len(trunk))
    if is_next or (position == "0" and not steps):
        return None
    # In the order of their answers, and last what has none yet.
    in_order = sorted(steps, key=lambda row: (not row.sequence, row.sequence))
    known = ", ".join(f"{row.position} ({row.name})" for row in in_order) or "none"
    text = f"{saga.name} {saga.id} has no step {position!r}; it has {known}"
    raise CallError(Code.NOT_FOUND, text, may_have_happened=False)


def _check_undone(saga: SagaRow, undos: list[StepRow]) -> None:
    taken_back = [row for row in undos if not row.name.startswith(LEFT)]
    if taken_back:
        first = min(taken_back, key=lambda row: [int(part) for part in row.position.split("/")])
        text = f"has undone step {first.position} ({first.name}): fork it from that step, or from one before it"
        raise _refused(saga, text, Code.OUT_OF_RANGE)


def _left_to(saga: SagaRow, row: StepRow, now: datetime) -> StepRow:
    return StepRow(
        saga.id, row.position, Kind.UNDO, f"{LEFT}{saga.id}", row.request, StepState.DONE, now, ended=now
    )  # fmt: skip


def _origin(saga: SagaRow, copied: list[StepRow], definition: Definition) -> Origin:
    """Where the fork comes from: its function sees the copied answers with the time and chance they came by."""
    # Without its key: who asks again under that one asks for the other saga.
    origin = replace(origin_of(saga), key=None, fork_of=saga.id)
    if not copied:
        return replace(with_patches(origin, definition), pasts=())
    last = max(row.sequence for row in copied)
    pasts: list[Past] = []
    for each in (*origin.pasts, Past(saga.id, saga.seed, saga.created, last)):
        pasts.append(replace(each, until=min(each.until, last)))
        if each.until >= last:
            break
    return replace(origin, pasts=tuple(pasts))


def _refused(saga: SagaRow, why: str, code: Code = Code.FAILED_PRECONDITION) -> CallError:
    return CallError(code, f"{saga.name} {saga.id} {why}", may_have_happened=False)
