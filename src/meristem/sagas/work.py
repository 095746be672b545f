"""What the work on one saga has at hand, and how it makes a call under a step's own key."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from contextvars import Context as Variables
from datetime import datetime
from typing import Any

import msgspec

from meristem.clock import Clock
from meristem.context import CURRENT, Context, Identity, KeyChain, Trace
from meristem.contracts.codec import decoder, encode
from meristem.errors import CallError, Code
from meristem.sagas.facts import Fact, StepEnded
from meristem.sagas.failures import Verdict, judge, read
from meristem.sagas.journal import Journal
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.policy import SagaPolicy
from meristem.sagas.records import SagaRow, SagaState, StepRow
from meristem.sagas.saga import Definition
from meristem.sagas.steps import Step


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of the starting call's context goes on with every step, also after a restart."""

    trace: Trace | None = None
    caller: str | None = None
    user: Identity | None = None
    key: str | None = None


def id_of(service: str, name: str, key: str | None) -> str:
    """The id of the saga that a call begins: the same one for each call under an idempotency key."""
    return (
        secrets.token_hex(16) if key is None else hashlib.sha256(f"{service}\n{name}\n{key}".encode()).hexdigest()[:32]
    )


def new_saga(definition: Definition, saga_id: str, input_: str, origin: Origin, now: datetime) -> SagaRow:
    """The row of a saga that begins now."""
    return SagaRow(
        id=saga_id, name=definition.name, version=definition.version, state=SagaState.RUNNING, input=input_,
        context=encode(origin).decode(), seed=secrets.token_hex(16), created=now, updated=now,
    )  # fmt: skip


class Shop(msgspec.Struct, frozen=True):
    """What all sagas of one engine share."""

    journal: Journal
    clock: Clock
    policy: SagaPolicy
    emit: Callable[[Fact], None]
    variables: Variables


class Work:
    """One saga in the hands of this replica."""

    def __init__(self, shop: Shop, saga: SagaRow, page: JournalWriter) -> None:
        self.shop = shop
        self.saga = saga
        self.page = page
        self.origin: Origin = decoder(Origin)(saga.context)  # type: ignore[arg-type]

    def now(self) -> datetime:
        """The engine's time."""
        return self.shop.clock.now()

    def spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        """Run a part of the saga in a task of its own, outside of whatever started it."""
        loop = asyncio.get_running_loop()
        return loop.create_task(work, name=f"saga {self.saga.name} {self.saga.id}: {name}", context=self.variables())

    def variables(self) -> Variables:
        """A copy of the context variables with which the engine was started."""
        return self.shop.variables.copy()

    async def invoke(
        self,
        step: Step,
        method: Callable[..., Awaitable[Any]],
        arguments: Any,
        key: str,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:
        """Call once. A direct call goes out under `key`; the calls that a step makes go under keys derived from it.

        Each of those waits for `before`.
        """
        origin = self.origin
        chain = None if step.direct else KeyChain(key, before)
        token = CURRENT.set(Context(None, origin.trace, origin.caller, origin.user, key, chain))
        try:
            return await method(*arguments)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallError(Code.CANCELED, f"{step.name} was cancelled by its callee") from None
        finally:
            CURRENT.reset(token)

    def tell(self, row: StepRow) -> None:
        """Report that a step or an undo ended."""
        seconds = ((row.ended or row.started) - row.started).total_seconds()
        error = None if row.error is None else read(row.error).message
        fact = StepEnded(self.saga.id, self.saga.name, row.position, row.kind, row.name, seconds, error)
        self.shop.emit(fact)


class Trial:
    """The attempts of one step: whether another one is due, and whether some earlier one may have had its effect."""

    def __init__(self, work: Work, step: Step, patience: float, began: datetime) -> None:
        self._work = work
        self._harmless = step.harmless
        self._patience = patience
        self._began = began
        self.attempts = 0
        self.in_doubt = False

    def pause(self, error: CallError) -> float | None:
        """Seconds until the next attempt; None when there shall be none, and `in_doubt` says what is known."""
        verdict = judge(error)
        if verdict is Verdict.FINAL:
            self.in_doubt = False
            return None
        if verdict is not Verdict.LATER and not self._harmless:
            self.in_doubt = True
        if verdict is Verdict.BROKEN and self.attempts >= self._work.shop.policy.bug_attempts:
            return None
        delay = max(self._work.shop.policy.retry.delay(self.attempts), error.retry_after or 0.0)
        spent = (self._work.now() - self._began).total_seconds()
        return None if spent + delay > self._patience else delay
