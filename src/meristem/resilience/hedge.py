"""Hedging: a safe call that waits at an endpoint which has fallen silent is sent to another one too."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.bounds import Pause, Share
from meristem.contracts.message import Message
from meristem.errors import CallError
from meristem.resilience.facts import Hedged, OnFact, ignore
from meristem.resilience.retry import Attempt, RetryBudget, may_retry, tried_by

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.contracts.call import Call
    from meristem.contracts.operation import Operation
    from meristem.resilience.balancer import Balancer, Target


AGAIN: Final = 0.05  # seconds until a second call that was not permitted is asked for again


class HedgePolicy(Message, forbid_unknown_fields=True):
    """How long a safe call waits at an endpoint that answers no call.

    That is the mean time of the operation's answers and four times their deviation (the retransmission timeout of
    RFC 6298), not less than `at_least` seconds and not more than `at_most` of the operation's timeout; `unknown` of
    its timeout before the first answer.
    """

    at_least: Pause = 0.1
    at_most: Share = 0.5
    unknown: Share = 0.25


class Hedging:
    """Brings calls of one safe operation to endpoints, to a second one when the first falls silent.

    An endpoint is silent when it answered no call at all for as long as an answer usually takes: a stopped process,
    a frozen machine, a network that swallows. One that is slow because of much work still answers some call. The
    first call stays where it is, and the sooner answer of both counts.

    A second call takes from the retry budget, unless another endpoint has answered in the meantime: then it is the
    first one alone that is ill, and what is taken from it burdens no endpoint twice.
    """

    def __init__(
        self,
        operation: Operation,
        balancer: Balancer,
        budget: RetryBudget,
        policy: HedgePolicy | None = None,
        *,
        now: Callable[[], float] = monotonic,
        on_fact: OnFact = ignore,
    ) -> None:
        self._operation = operation
        self._balancer = balancer
        self._budget = budget
        self._policy = policy or HedgePolicy()
        self._now = now
        self._emit = on_fact
        self._mean = self._deviation = 0.0
        self._patience = operation.timeout * self._policy.unknown

    def take(self, call: Call, target: Target) -> Awaitable[Any]:
        """Bring the call to `target`, and to another endpoint when that one falls silent."""
        return self._balancer.take(call, target) if self._balancer.size < 2 else self._raced(call, target)

    async def _raced(self, call: Call, target: Target) -> Any:
        race = _Race(self, call, target)
        try:
            reply = await self._balancer.take(call, target)
        except BaseException as error:
            return await race.failed(error)
        finally:
            race.end()
        self.learn(self._now() - race.started)
        return reply

    def wait(self, race: _Race) -> float:
        """How many seconds its endpoint has left to answer anybody."""
        return max(race.started, race.target.heard) + self._patience - self._now()

    async def second(self, call: Call, target: Target) -> Any:
        """The same call at another endpoint."""
        started = self._now()
        again = Attempt.of(call, (*tried_by(call), target.endpoint.address))
        other = self._balancer.choose(again)
        self._emit(Hedged(self._operation.label, target.endpoint.address, other.endpoint.address))
        reply = await self._balancer.take(again, other)
        self.learn(self._now() - started)
        return reply

    def permits(self, race: _Race) -> bool:
        """Whether a second call may be sent now."""
        return self._balancer.heard_elsewhere(race.target, race.started) or self._budget.withdraw()

    def suspect(self, target: Target) -> None:
        """An endpoint let a call wait in silence."""
        self._balancer.silent(target)

    def learn(self, seconds: float) -> None:
        """An answer took so long (RFC 6298, section 2)."""
        # The deviation first, against the mean of before, as the RFC has it.
        if self._mean:
            self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
            self._mean += (seconds - self._mean) / 8
        else:
            self._mean, self._deviation = seconds, seconds / 2
        policy = self._policy
        usual = max(policy.at_least, self._mean + 4 * self._deviation)
        self._patience = min(usual, self._operation.timeout * policy.at_most)


class _Race:
    """One call on its way and, perhaps, the second one: whichever is answered first ends the other."""

    __slots__ = (
        "_call",
        "_cancelling",
        "_hedging",
        "_loop",
        "_over",
        "_second",
        "_suspected",
        "_task",
        "_timer",
        "_won",
        "started",
        "target",
    )

    def __init__(self, hedging: Hedging, call: Call, target: Target) -> None:
        self.started = hedging._now()  # noqa: SLF001 - one thing in two classes
        self.target = target
        self._hedging = hedging
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        self._second: asyncio.Task[Any] | None = None
        self._won = self._over = self._suspected = False
        self._timer = self._loop.call_later(max(0.0, hedging.wait(self)), self._look)

    def _look(self) -> None:
        hedging, left = self._hedging, self._hedging.wait(self)
        if left <= 0 and not self._suspected:
            self._suspected = True
            hedging.suspect(self.target)
        if left > 0 or not hedging.permits(self):
            self._timer = self._loop.call_later(left if left > 0 else AGAIN, self._look)
        else:
            self._second = self._loop.create_task(self._hedging.second(self._call, self.target))
            self._second.add_done_callback(self._answered)

    def _answered(self, second: asyncio.Task[Any]) -> None:
        error = None if second.cancelled() else second.exception()  # asked for, so that it is not said to be lost
        if second.cancelled() or self._over or self._task is None:
            return
        if isinstance(error, CallError) and may_retry(self._call.operation, error):
            return  # the first one may still be answered
        self._won = True
        self._task.cancel()

    async def failed(self, error: BaseException) -> Any:
        """What comes of a first call that ended with `error`."""
        second = self._second
        if second is None:
            raise error
        if self._won and self._task is not None:
            self._won = False
            if self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
                return second.result()
        elif isinstance(error, CallError) and may_retry(self._call.operation, error):
            self._over = True
            return await second
        raise error

    def end(self) -> None:
        """Leave nothing behind."""
        self._over = True
        self._timer.cancel()
        if self._won and self._task is not None:
            self._task.uncancel()
        if self._second is not None:
            self._second.cancel()
