"""Adaptive concurrency limit: a server that gets slower takes less at once, and turns the rest away early.

The limit follows the gradient of latencies, as Netflix's concurrency-limits does: it shrinks when calls take longer
than `tolerance` times what they usually take, and grows by its square root while they do not. What is usual is
learned for each operation by itself, so a mixture of quick and slow operations is no sign of overload.
"""

from __future__ import annotations

import math
from asyncio import CancelledError
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from msgspec import Meta

from meristem.contracts.bounds import Count, Part, Pause, Room
from meristem.contracts.message import Message
from meristem.errors import CallError, Code
from meristem.resilience.facts import OnFact, Shed, ignore
from meristem.resilience.gate import Gate, LeavingStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation

SAMPLED: Final = 16  # an idle server measures one call of so many
LEARNED: Final = 20  # samples after which an operation's usual latency is believed
MEMORY: Final = 30.0  # seconds over which the usual latency follows what is measured
OVERLOAD_MEMORY: Final = 600.0  # the same while the server is loaded


class LimiterPolicy(Message, forbid_unknown_fields=True):
    """Bounds and speed of the limit.

    `tolerance` is how many times the usual latency counts as normal; `queue` calls wait up to `wait` seconds
    before one is turned away.
    """

    initial: Count = 256
    minimum: Count = 32
    maximum: Count = 4096
    tolerance: Annotated[float, Meta(ge=1, le=1000, description="1 to 1000")] = 2.0
    window: Pause = 0.25
    samples: Count = 20
    smoothing: Part = 0.2
    queue: Room = 128
    wait: Pause = 0.1

    rising: ClassVar = ("minimum", "initial", "maximum")


class Usual:
    """What a call of one operation usually takes."""

    __slots__ = ("_seen", "count", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.count = 0
        self._seen = 0.0

    def learn(self, seconds: float, now: float, *, loaded: bool) -> None:
        """Learn from one call, in minutes only when the server is loaded: overload must not become usual."""
        self.count += 1
        past = OVERLOAD_MEMORY if loaded else MEMORY
        weight = 1.0 / self.count if self.count <= LEARNED else min(0.1, (now - self._seen) / past)
        self.seconds += (seconds - self.seconds) * weight
        self._seen = now


class Limiter:
    """The limit of calls that a service works on at once."""

    def __init__(
        self,
        name: str,
        policy: LimiterPolicy | None = None,
        *,
        now: Callable[[], float] = monotonic,
        on_fact: OnFact = ignore,
    ) -> None:
        self.name = name
        self.policy = policy or LimiterPolicy()
        self.gate = Gate(self.policy.initial, self.policy.queue, self.policy.wait)
        self.shed = 0  # calls that were turned away
        self._limit = float(self.policy.initial)
        self._now = now
        self._emit = on_fact
        self._calls = 0
        self._window_began = now()
        self._slowness = 0.0  # sum over the window of how many times its usual latency each call took
        self._seen = 0

    @property
    def limit(self) -> int:
        """Calls allowed at once at the moment."""
        return self.gate.limit

    def middleware(self, operation: Operation) -> Middleware:
        """Admit calls of `operation`; all operations of a service share the limit."""
        usual = Usual()
        if operation.lasts:
            return lambda handler: self._stream(handler, replies=operation.stream)
        return lambda handler: self._unary(handler, usual)

    def _unary(self, handler: Handler, usual: Usual) -> Handler:
        gate, now = self.gate, self._now

        async def admitted(call: Call) -> Any:
            if not gate.try_enter() and not await gate.enter():
                raise self._refusal()
            loaded = gate.inside * 2 >= gate.limit
            self._calls += 1
            if not loaded and self._calls % SAMPLED and usual.count > LEARNED:
                try:
                    return await handler(call)
                finally:
                    gate.leave()
            started = now()
            try:
                reply = await handler(call)
            except BaseException as error:
                gate.leave()
                self._ended_badly(error, call, usual, started, loaded=loaded)
                raise
            gate.leave()
            self.observe(usual, now() - started, loaded=loaded)
            return reply

        return admitted

    def _stream(self, handler: Handler, *, replies: bool) -> Handler:
        """How long a stream takes is its peer's affair too: it takes a place, and says nothing of speed."""
        gate = self.gate

        async def admitted(call: Call) -> Any:
            if not gate.try_enter() and not await gate.enter():
                raise self._refusal()
            try:
                reply = await handler(call)
            except BaseException:
                gate.leave()
                raise
            if replies:
                return LeavingStream(reply, gate.leave)
            gate.leave()
            return reply

        return admitted

    def _ended_badly(self, error: BaseException, call: Call, usual: Usual, started: float, *, loaded: bool) -> None:
        """An error says nothing of speed, but a call cut off at its deadline was at least that slow."""
        now, deadline = self._now(), call.context.deadline
        if loaded and isinstance(error, CancelledError) and deadline is not None and now >= deadline:
            self.observe(usual, now - started, loaded=True)

    def observe(self, usual: Usual, seconds: float, *, loaded: bool) -> None:
        """Take one measured call into account; a server with room to spare does not move its limit."""
        now = self._now()
        usual.learn(seconds, now, loaded=loaded)
        if not loaded:
            return
        self._slowness += seconds / max(usual.seconds, 1e-9)
        self._seen += 1
        if now - self._window_began >= self.policy.window and self._seen >= self.policy.samples:
            self._adapt(self._slowness / self._seen)
            self._window_began = now
            self._slowness = 0.0
            self._seen = 0

    def _adapt(self, slowness: float) -> None:
        policy = self.policy
        gradient = max(0.5, min(1.0, policy.tolerance / slowness))
        wanted = self._limit * gradient + math.sqrt(self._limit)
        smoothed = self._limit + (wanted - self._limit) * policy.smoothing
        self._limit = max(float(policy.minimum), min(float(policy.maximum), smoothed))
        self.gate.limit = int(self._limit)
        self.gate.admit()

    def _refusal(self) -> CallError:
        self.shed += 1
        self._emit(Shed(self.name, self.gate.limit))
        return CallError(
            Code.RESOURCE_EXHAUSTED,
            f"{self.name} works on {self.gate.inside} calls, its limit at the moment; try again later",
            may_have_happened=False,
            retry_after=max(self.policy.wait, 0.05),
        )
