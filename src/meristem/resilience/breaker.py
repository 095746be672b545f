"""Circuit breaker: an endpoint that fails is left alone for a while, then tried with care."""

from __future__ import annotations

import asyncio
import random
from asyncio import CancelledError
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final

from meristem.backoff import ceiling
from meristem.contracts.bounds import Count, Part, Seconds, Share
from meristem.contracts.message import Message
from meristem.errors import CallError, Code
from meristem.resilience.facts import BreakerChanged, OnFact, State, ignore

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.contracts.call import Call, Handler

# what an endpoint is to blame for; a server that sheds load works, and says itself when to come back
FAILURES: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS})


class BreakerPolicy(Message, forbid_unknown_fields=True):
    """When a breaker opens and for how long.

    It opens when `ratio` of at least `minimum` calls within about `window` seconds failed; stays open for
    `open_for` seconds, twice as long after each failed probe up to `open_at_most`, spread by `jitter`; then lets
    `probes` calls through and closes when all of them succeed.
    """

    ratio: Part = 0.5
    minimum: Count = 20
    window: Seconds = 10.0
    open_for: Seconds = 1.0
    open_at_most: Seconds = 30.0
    jitter: Share = 0.2
    probes: Count = 3

    rising: ClassVar = ("open_for", "open_at_most")


class BreakerOpen(CallError):
    """The refusal of a breaker, which sent nothing; while probes are under way, `probed` ends with the next of them."""

    def __init__(self, message: str, left: float, probed: asyncio.Future[None] | None) -> None:
        super().__init__(Code.UNAVAILABLE, message, may_have_happened=False, retry_after=left)
        self.probed = probed


def blames(error: BaseException, call: Call, now: float) -> bool:
    """Whether an error speaks against the endpoint; a caller that gave up does not, a deadline that passed does."""
    if isinstance(error, CallError):
        return error.code in FAILURES
    deadline = call.context.deadline
    return isinstance(error, CancelledError) and deadline is not None and now >= deadline


def is_away(error: BaseException, call: Call, now: float) -> bool:
    """Whether an endpoint failed to answer: what its service's own code says is an answer, in one process as here.

    One that has yet to come into being has failed at nothing: calls must find it once it is there.
    """
    if isinstance(error, CallError) and (error.from_service or error.unborn is not None):
        return False
    return blames(error, call, now)


class Breaker:
    """The circuit breaker of one endpoint."""

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy | None = None,
        *,
        rng: random.Random | None = None,
        now: Callable[[], float] = monotonic,
        on_fact: OnFact = ignore,
    ) -> None:
        self.name = name
        self.policy = policy or BreakerPolicy()
        self.state: State = "closed"
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._now = now
        self._emit = on_fact
        self._window_began = now()
        self._calls = self._failures = 0  # in the current window
        self._past_calls = self._past_failures = 0  # in the one before
        self._opened = 0  # times in a row
        self._until = 0.0
        self._probing = self._probed = 0
        self._next_probe: asyncio.Future[None] | None = None  # for those who wait for one to end
        self._reason = ""

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now."""
        return self.state == "open" and self._now() < self._until

    def probe_soon(self) -> None:
        """Let the next call through as a probe, if the breaker is open: there is word that the endpoint lives."""
        self._until = min(self._until, self._now())

    def middleware(self, handler: Handler) -> Handler:
        """Let calls through while the endpoint answers."""

        async def guarded(call: Call) -> Any:
            if self.state != "closed":
                return await self._careful(handler, call)
            self._calls += 1  # the window is looked at when something fails; success costs one addition
            try:
                return await handler(call)
            except BaseException as error:
                if self.state == "closed" and is_away(error, call, self._now()):
                    self._failed()
                raise

        return guarded

    async def _careful(self, handler: Handler, call: Call) -> Any:
        if self.state == "open" and self._now() >= self._until:
            self._probing = self._probed = 0
            self._change("half_open", "time for a probe")
        if self.state == "open" or (self.state == "half_open" and self._probing >= self.policy.probes - self._probed):
            raise self._refusal()
        self._probing += 1
        try:
            reply = await handler(call)
        except BaseException as error:
            self._probing -= 1
            if self.state == "half_open" and is_away(error, call, self._now()):
                self._open(f"a probe failed: {error}" if str(error) else "a probe met its deadline")
            elif not isinstance(error, CancelledError):
                self._answered()
            self._probe_ended()
            raise
        self._probing -= 1
        self._answered()
        self._probe_ended()
        return reply

    def _probe_ended(self) -> None:
        """However it ended: the breaker is closed or open now, or has room for another one."""
        if self._next_probe is not None:
            self._next_probe.set_result(None)
            self._next_probe = None

    def _answered(self) -> None:
        """A probe came back; with an error of its service too, for the endpoint lives."""
        self._probed += 1
        if self.state == "half_open" and self._probed >= self.policy.probes:
            self._close()

    def _failed(self) -> None:
        policy, now = self.policy, self._now()
        age = now - self._window_began
        if age >= policy.window:
            recent = age < 2 * policy.window
            self._past_calls, self._past_failures = (self._calls - 1, self._failures) if recent else (0, 0)
            self._calls, self._failures, self._window_began, age = 1, 0, now, 0.0
        self._failures += 1
        rest = 1.0 - age / policy.window  # how much of the window before is still in sight
        calls = self._calls + self._past_calls * rest
        failures = self._failures + self._past_failures * rest
        if calls >= policy.minimum and failures >= policy.ratio * calls:
            self._open(f"{failures:.0f} of {calls:.0f} calls failed within {policy.window:g} s")

    def _open(self, reason: str) -> None:
        policy = self.policy
        self._opened += 1
        seconds = ceiling(self._opened, policy.open_for, policy.open_at_most)
        self._until = self._now() + seconds * self._rng.uniform(1.0, 1.0 + policy.jitter)
        self._reason = reason
        self._change("open", reason)

    def _close(self) -> None:
        self._opened = 0
        self._calls = self._failures = self._past_calls = self._past_failures = 0
        self._window_began = self._now()
        self._change("closed", f"{self.policy.probes} probes succeeded")

    def _change(self, after: State, reason: str) -> None:
        before, self.state = self.state, after
        self._emit(BreakerChanged(self.name, before, after, reason))

    def _refusal(self) -> BreakerOpen:
        left = max(0.0, self._until - self._now())
        if self.state == "open":
            when, probed = f"open for {left:.1f} s more", None
        else:
            when, probed = "waiting for its probes", self._next_probe or asyncio.get_running_loop().create_future()
            self._next_probe = probed
        return BreakerOpen(f"{self.name}: circuit breaker {when}, because {self._reason}", left, probed)
