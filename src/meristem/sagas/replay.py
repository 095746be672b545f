"""Runs a saga's journal against the code that is here, without any effect, and says where the two differ."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from meristem.clock import SystemClock
from meristem.contracts.codec import decoder, encode
from meristem.contracts.message import Message
from meristem.errors import ConfigurationError
from meristem.sagas.commands import CallCommand, SagaCommand
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.execution import Execution
from meristem.sagas.failures import Failure, read
from meristem.sagas.journal import Journal
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.naps import Naps
from meristem.sagas.outcome import Outcome, Raised, Returned, Stuck, told
from meristem.sagas.patches import unknown_patches
from meristem.sagas.policy import SagaPolicy
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow
from meristem.sagas.saga import Definition
from meristem.storage.database import Database
from meristem.storage.lease import Lease

PATIENCE: Final = 10.0  # seconds: a function that is answered at once takes that long only if it waits for no step


class SagaJournal(msgspec.Struct, frozen=True, kw_only=True):
    """One saga with all that its service's database holds of it, as it is exported; what was given and answered too."""

    service: str
    saga: SagaRow
    steps: list[StepRow]


class Divergence(Message):
    """Where the code would leave a saga's journal. `arguments` are JSON of what the code gives to the step now."""

    text: str
    position: str | None = None
    arguments: str | None = None


def read_journals(paths: Iterable[Path]) -> Iterator[SagaJournal]:
    """The journals in those files, and in the `.json` files of those folders, one after the other.

    Raises ConfigurationError for a file that is none, and for a folder that has none.
    """
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise ConfigurationError(
                f"{path} holds no journal: write some with `meristem sagas export ID --out {path}`"
            )
        for file in files:
            try:
                yield msgspec.json.decode(file.read_bytes(), type=SagaJournal)
            except OSError as error:
                raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
            except msgspec.DecodeError as error:
                text = f"{file} is no journal that this release can read ({error}); `meristem sagas export` writes them"
                raise ConfigurationError(text) from None


async def replay(
    definition: Definition, instance: object, journal: SagaJournal, database: Database
) -> Divergence | None:
    """The first step at which the function does not follow the journal; None where it does.

    The function runs as in a saga that is resumed, but nothing begins: what the journal has no answer to gets none.
    `database` is a service's that was not started.
    """
    saga = journal.saga
    if not definition.supports <= saga.version <= definition.version:
        supported = f"{definition.supports} to {definition.version}"
        return Divergence(text=f"it began with version {saga.version}, and the code supports {supported}")
    # One that has ended is asked for nothing more, so its patches may be forgotten.
    is_going = saga.state not in (SagaState.DONE, SagaState.FAILED)
    if is_going and (unknown := unknown_patches(definition, saga)):
        name = unknown[0]
        text = (
            f"it took the patch {name!r}, of which the code knows nothing, so it would be left to another release: "
            f"write deprecated_patches=[{name!r}] until `meristem sagas drain-check {name!r} --taken` exits with 0"
        )
        return Divergence(text=text)
    try:
        decoder(definition.input)(saga.input)
    except msgspec.MsgspecError as error:
        return Divergence(text=f"what it was given cannot be read any more: {error}")
    # As a saga that is being undone: its function is only answered, and no step is begun.
    execution = _execution(definition, instance, replace(saga, state=SagaState.UNDOING), journal.steps, database)
    try:
        async with asyncio.timeout(PATIENCE):
            outcome = await execution.run()
    except TimeoutError:
        return Divergence(text=f"the function waits for more than {PATIENCE:.0f} seconds for what is no step of a saga")
    return _divergence(definition, saga, journal.steps, execution.commands, outcome)


def _execution(
    definition: Definition, instance: object, saga: SagaRow, steps: list[StepRow], database: Database
) -> Execution:
    clock = SystemClock()
    kept = Journal(database, clock, Lease(database, "replay"), {})
    variables = contextvars.copy_context()
    parts = EngineParts(kept, clock, Naps(clock), SagaPolicy(), lambda _: None, variables)
    return Execution(parts, definition, instance, saga, JournalWriter(kept, saga), steps, busy=False)


def _divergence(
    definition: Definition, saga: SagaRow, steps: list[StepRow], commands: dict[str, SagaCommand], outcome: Outcome
) -> Divergence | None:
    recorded = {row.position: row for row in steps if row.kind is not Kind.UNDO}
    for command in commands.values():
        row = recorded.get(command.position)
        if row is not None and not command.matches(row):
            return _mismatch(command, row)
    missed = [row for row in recorded.values() if row.position not in commands]
    if isinstance(outcome, Stuck) and not missed:
        return Divergence(text=outcome.problem)
    if missed:
        first = min(missed, key=lambda row: (not row.sequence, row.sequence))  # last what has no answer yet
        text = f"step {first.position}: the journal has {told(first)}, which the code does not reach"
        failure = outcome.failure if isinstance(outcome, Stuck | Raised) else None
        if failure is not None:
            text = f"{text}: it fails by {failure.message}"
        return Divergence(text=text, position=first.position)
    if saga.state is SagaState.DONE:
        return _other_end(definition, saga, commands, outcome)
    if saga.error is not None and not saga.cancelled:
        return _other_failure(read(saga.error), outcome)
    return None


def _mismatch(command: SagaCommand, row: StepRow) -> Divergence:
    where = f"step {row.position}"
    if (row.kind, row.name) == (command.kind, command.name):
        text = f"{where}: the code gives other arguments to {told(row)} than were recorded"
    else:
        text = f"{where}: the journal has {told(row)}, the code asks for {told(command)}"
    return Divergence(text=text, position=row.position, arguments=_arguments(command))


def _other_end(
    definition: Definition, saga: SagaRow, commands: dict[str, SagaCommand], outcome: Outcome
) -> Divergence | None:
    asked = next((each for each in commands.values() if each.row is None), None)
    if asked is not None:
        text = f"step {asked.position}: the code asks for {told(asked)}, and the journal has ended before it"
        return Divergence(text=text, position=asked.position, arguments=_arguments(asked))
    if isinstance(outcome, Raised):
        return Divergence(text=f"the saga is done, and the code fails: {outcome.failure.message}")
    try:
        before = encode(decoder(definition.returns)(saga.result or "null"))
    except msgspec.MsgspecError as error:
        return Divergence(text=f"what it answered cannot be read any more: {error}")
    if isinstance(outcome, Returned) and encode(outcome.value) != before:
        return Divergence(text="the code returns something else than the saga answered")
    return None


def _other_failure(failed: Failure, outcome: Outcome) -> Divergence | None:
    if isinstance(outcome, Returned):
        return Divergence(text=f"the saga failed ({failed.name}), and the code comes to its end")
    now = outcome.failure if isinstance(outcome, Raised) else failed
    if (now.name, now.code) != (failed.name, failed.code):
        return Divergence(
            text=f"the saga failed by {failed.name} ({failed.code}), and the code by {now.name} ({now.code})"
        )
    return None


def _arguments(command: SagaCommand) -> str | None:
    given: Any = command.arguments if isinstance(command, CallCommand) else None
    return None if given is None else encode(given).decode()
