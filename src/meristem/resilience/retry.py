"""Retries of what failed on the way: full jitter, no harm, within the deadline and a budget per dependency."""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.backoff import FULL, wait_after
from meristem.contracts.bounds import Amount, Rate, Share
from meristem.contracts.call import Call
from meristem.contracts.message import Message
from meristem.errors import REPEATABLE, CallError
from meristem.resilience.breaker import BreakerOpen
from meristem.resilience.facts import CallRetried, OnFact, RetryRefused, ignore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.contracts.call import Handler, Middleware
    from meristem.contracts.operation import Operation

PROBED_WITHIN: Final = 1.0  # seconds in which a call waits for the probes of a breaker

_WAITED: Final = 0.95  # of the time left to a call, at most, for an endpoint to start


class BudgetPolicy(Message, forbid_unknown_fields=True):
    """How many retries a dependency gets: a share of its calls, and a few a second for those rarely called."""

    share: Share = 0.2
    per_second: Rate = 1.0
    burst: Amount = 20.0


class RetryBudget:
    """A token bucket that calls fill and retries empty, so that retries never multiply an overload."""

    __slots__ = ("_balance", "_now", "_seen", "dependency", "made", "policy")

    def __init__(
        self, dependency: str, policy: BudgetPolicy | None = None, now: Callable[[], float] = monotonic
    ) -> None:
        self.dependency = dependency
        self.policy = policy or BudgetPolicy()
        self._balance = self.policy.burst / 2
        self.made = 0  # calls since the balance was last drawn up; a caller that makes one counts it here
        self._now = now
        self._seen = now()

    def withdraw(self) -> bool:
        """Whether one retry may be made."""
        now = self._now()
        grown = self._balance + self.made * self.policy.share + (now - self._seen) * self.policy.per_second
        self._balance, self._seen, self.made = min(grown, self.policy.burst), now, 0
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True


class Attempt(Call, eq=False, gc=False):
    """A call that is tried again; `tried` are the addresses of endpoints that failed it.

    `moved` says that it was taken to another endpoint because the first one broke off.
    """

    tried: tuple[str, ...] = ()
    moved: bool = False

    @staticmethod
    def of(call: Call, tried: tuple[str, ...], *, moved: bool = False) -> Attempt:
        """Another attempt at `call`, after those at `tried`."""
        context = call.context
        # a repeated run derives the same idempotency keys, and its span stands beside the first one's
        keys = None if context.keys is None else context.keys.again()
        context = msgspec.structs.replace(context, keys=keys)
        return Attempt(call.operation, call.request, context, tried=tried, moved=moved)


def tried_by(call: Call) -> tuple[str, ...]:
    """The addresses of endpoints that failed a call so far."""
    return call.tried if isinstance(call, Attempt) else ()


def may_retry(operation: Operation, error: CallError) -> bool:
    """Whether another attempt can do no harm and has a chance; what the service's own code says is its answer."""
    if error.code not in REPEATABLE or error.from_service:
        return False
    return operation.semantics.repeatable or not error.may_have_happened


class Retrying:
    """How calls of one operation are repeated; one whose endpoint is not born yet waits for it, `away` seconds."""

    def __init__(
        self,
        operation: Operation,
        budget: RetryBudget,
        *,
        rng: random.Random | None = None,
        now: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_fact: OnFact = ignore,
        away: float = 0.0,
    ) -> None:
        self._operation = operation
        self._away = away
        self._policy = operation.retry
        self._budget = budget
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._now = now
        self._sleep = sleep
        self._emit = on_fact
        self._needs = 0.0  # seconds that an attempt which succeeds usually takes

    def middleware(self, handler: Handler) -> Handler:
        """Repeat what fails. It stands inside of the deadline and outside of breaker and trace."""
        operation, budget = self._operation, self._budget

        async def retried(call: Call) -> Any:
            budget.made += 1
            trace = call.context.trace
            try:
                return await handler(call)
            except CallError as failure:
                if not may_retry(operation, failure) or not call.repeatable:
                    raise
                error = failure
            call.context.trace = trace
            try:  # outside of `except`: the last failure would be told as one that came of handling the first
                return await self._again(handler, call, error)
            finally:
                del error  # it knows this frame by its traceback

        return retried

    async def _again(self, handler: Handler, call: Call, error: CallError) -> Any:
        tried: tuple[str, ...] = ()
        attempt, patience = 1, self._now() + PROBED_WITHIN
        while True:
            if isinstance(error, BreakerOpen):
                await self._probed(call, error, patience)
            elif error.unborn is not None and await self._born(call, error, error.unborn):
                pass  # nothing was sent: no attempt, and nothing from the budget
            elif attempt >= self._policy.attempts:
                break
            else:
                if error.origin is not None:
                    tried = (*tried, error.origin)
                delay = self._delay(attempt, error)
                self._check(call, delay, error)
                attempt += 1
                self._emit(CallRetried(self._operation.label, attempt, delay, error.code.value))
                await self._sleep(delay)
            started = self._now()
            try:
                reply = await handler(Attempt.of(call, tried))
            except CallError as failure:
                error = failure
                if not may_retry(self._operation, error) or not call.repeatable:
                    raise
            else:
                self._needs += ((self._now() - started) - self._needs) * 0.2
                return reply
        if attempt > 1:
            error.add_note(f"{self._operation.label} was tried {attempt} times")
        raise error

    async def _born(self, call: Call, error: CallError, unborn: Callable[[float], Awaitable[bool]]) -> bool:
        """Wait for an endpoint that is yet to start; raise `error` where the deadline would come before.

        Shortly before it: so the caller hears that nobody is there, and nothing was done, rather than that it is late.
        """
        deadline = call.context.deadline
        if deadline is None:
            return await unborn(self._away)
        try:
            async with asyncio.timeout(max(deadline - self._now(), 0.0) * _WAITED):
                return await unborn(self._away)
        except TimeoutError:
            error.add_note(f"{self._operation.label} was not tried again: its deadline would come first")
            raise error from None

    async def _probed(self, call: Call, refusal: BreakerOpen, latest: float) -> None:
        """Wait for others to probe; raise the refusal of an open breaker: whoever waited for that would be in its way.

        Nothing was sent, so this is no attempt and takes nothing from the budget.
        """
        deadline = call.context.deadline
        patience = (latest if deadline is None else min(latest, deadline)) - self._now()
        if refusal.probed is None or patience <= 0:
            raise refusal
        await asyncio.wait({refusal.probed}, timeout=patience)
        if not refusal.probed.done():
            raise refusal

    def _delay(self, attempt: int, error: CallError) -> float:
        """Full jitter; never sooner than a server asked for, and then spread by a tenth."""
        delay = wait_after(attempt, self._policy.base, self._policy.cap, FULL, self._rng.uniform)
        if error.retry_after is not None:
            delay = max(delay, error.retry_after * self._rng.uniform(1.0, 1.1))
        return delay

    def _check(self, call: Call, delay: float, error: CallError) -> None:
        """Raise `error` with a note when another attempt would be too late or too many."""
        deadline = call.context.deadline
        if deadline is not None and self._now() + delay + self._needs >= deadline:
            error.add_note(f"{self._operation.label} was not tried again: its deadline would come first")
            raise error
        if not self._budget.withdraw():
            share = f"{self._budget.policy.share:.0%} of calls"
            error.add_note(f"not tried again: the retry budget of {self._budget.dependency!r} ({share}) is used up")
            self._emit(RetryRefused(self._operation.label, self._budget.dependency))
            raise error


def retry_middleware(
    operation: Operation, budget: RetryBudget, *, on_fact: OnFact = ignore, away: float = 0.0
) -> Middleware:
    """Repeat calls of `operation` as its contract allows, under the budget of its dependency."""
    return Retrying(operation, budget, on_fact=on_fact, away=away).middleware
