"""Balancing over the endpoints of a service: the better of two random ones, and none that keeps failing."""

from __future__ import annotations

import math
import random
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from meristem.contracts.bounds import Part, Pause, Seconds, Share
from meristem.contracts.message import Message
from meristem.errors import CallError, Code
from meristem.resilience.breaker import BreakerOpen, blames
from meristem.resilience.facts import Ejected, OnFact, ignore
from meristem.resilience.retry import Attempt, tried_by

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from meristem.contracts.call import Call, Handler


class Endpoint(Protocol):
    """One replica of a service. `in_flight` is counted by the balancer and may be read by anyone."""

    address: str
    in_flight: int

    @property
    def handler(self) -> Handler:
        """Takes a call there."""
        ...


class BalancerPolicy(Message, forbid_unknown_fields=True):
    """How endpoints are compared and when one is left out.

    Latencies fade with `memory` seconds. An endpoint is ejected when the running share of its failures (each call
    weighs `weight`; five failures in a row make 0.67) reaches `threshold`: for `eject_for` seconds, longer each
    time up to `eject_at_most`; never more than `share` of the endpoints, and none before another one has answered.
    """

    memory: Seconds = 10.0
    weight: Part = 0.2
    threshold: Part = 0.66
    eject_for: Pause = 5.0
    eject_at_most: Pause = 60.0
    share: Share = 0.5

    rising: ClassVar = ("eject_for", "eject_at_most")


class Target:
    """What the balancer knows of one endpoint."""

    __slots__ = ("_seen", "ejected_until", "ejections", "endpoint", "failing", "heard", "latency")

    def __init__(self, endpoint: Endpoint, latency: float, now: float) -> None:
        self.endpoint = endpoint
        self.latency = latency
        self.failing = 0.0
        self.ejections = 0
        self.ejected_until = 0.0
        self.heard = 0.0  # when it answered last, in whatever way
        self._seen = now

    def load(self, now: float, memory: float) -> float:
        """What one more call would meet there, in seconds (peak EWMA).

        What was learned long ago fades, so that an endpoint which recovered is found out.
        """
        fade = math.exp((self._seen - now) / memory)
        # The microsecond makes endpoints of which nothing is known differ by their calls in flight.
        return (self.endpoint.in_flight + 1) * (self.latency * fade + 1e-6)

    def answered(self, seconds: float, now: float, memory: float) -> None:
        """Learn a latency: a slower one at once, a faster one gradually."""
        # The peak counts: an endpoint that becomes slow must lose calls at once, one that was slow must prove itself.
        if seconds > self.latency:
            self.latency = seconds
        else:
            fade = math.exp((self._seen - now) / memory)
            self.latency = self.latency * fade + seconds * (1.0 - fade)
        self._seen = self.heard = now


Take: TypeAlias = "Callable[[Call, Target], Awaitable[Any]]"


class Balancer:
    """Chooses an endpoint for each call; endpoints come and go while it works."""

    def __init__(
        self,
        dependency: str,
        endpoints: Iterable[Endpoint] = (),
        policy: BalancerPolicy | None = None,
        *,
        rng: random.Random | None = None,
        now: Callable[[], float] = monotonic,
        on_fact: OnFact = ignore,
    ) -> None:
        self.dependency = dependency
        self.policy = policy or BalancerPolicy()
        self._rng = rng or random.Random()  # noqa: S311 - a choice, not a secret
        self._now = now
        self._emit = on_fact
        self._begun = now()
        self._targets: list[Target] = []
        self.handler: Handler = self.through(self.take)
        for endpoint in endpoints:
            self.add(endpoint)

    @property
    def targets(self) -> list[Target]:
        """The endpoints and what is known of them, for people who look."""
        return list(self._targets)

    @property
    def size(self) -> int:
        """How many endpoints there are."""
        return len(self._targets)

    def add(self, endpoint: Endpoint) -> None:
        """Give calls to `endpoint` too; until it is known it counts as fast as the others are on average."""
        known = [target.latency for target in self._targets if target.latency > 0]
        self._targets.append(Target(endpoint, sum(known) / len(known) if known else 0.0, self._now()))

    def remove(self, address: str) -> None:
        """Give it no more calls; those in flight there finish."""
        self._targets = [target for target in self._targets if target.endpoint.address != address]

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        """Make these the endpoints; those that stay keep what is known of them."""
        wanted = {endpoint.address: endpoint for endpoint in endpoints}
        self._targets = [target for target in self._targets if target.endpoint.address in wanted]
        present = {target.endpoint.address for target in self._targets}
        for address, endpoint in wanted.items():
            if address not in present:
                self.add(endpoint)

    def through(self, take: Take) -> Handler:
        """The handler that chooses an endpoint and has `take` bring the call there.

        A call that reached no endpoint goes to the next endpoint at once, and so does, once, one that may be repeated
        and whose connection broke. That loads no endpoint twice, so it needs neither a wait nor a retry budget, which
        one dead replica of two would soon use up.
        """

        async def moving(call: Call) -> Any:
            # Each endpoint once at most: when all of them are down, the last error is raised, and retries begin.
            met: list[CallError] = []
            for _ in range(len(self._targets) - 1):
                try:
                    return await take(call, self.choose(call))
                except CallError as error:
                    if error.origin is None or not _moves(call, error):
                        raise
                    met.append(error)
                    call = Attempt.of(call, (*tried_by(call), error.origin), moved=error.lost)
            try:
                return await take(call, self.choose(call))
            except BreakerOpen as refusal:
                raise max([refusal, *met], key=_hope) from None

        def balanced(call: Call) -> Awaitable[Any]:
            targets = self._targets  # of one there is nothing to choose, and nobody beside it to ask
            return self.take(call, targets[0]) if len(targets) == 1 else moving(call)

        return balanced

    async def take(self, call: Call, target: Target) -> Any:
        """Bring the call to this endpoint and learn from its answer; an error carries the address it came from."""
        endpoint = target.endpoint
        started = self._now()
        endpoint.in_flight += 1
        try:
            reply = await endpoint.handler(call)
        except BaseException as error:
            self._learn_from(error, target, call, started)
            raise
        finally:
            endpoint.in_flight -= 1
        if len(self._targets) > 1 or target.failing:  # alone, it is compared with nothing
            self._answered(target, started)
        return reply

    def silent(self, target: Target) -> None:
        """An endpoint answers no call: that counts as a failure."""
        self._failed(target, self._now())

    def heard_elsewhere(self, target: Target, since: float) -> bool:
        """Whether another endpoint has answered a call since then."""
        return any(each.heard >= since for each in self._targets if each is not target)

    def _answered(self, target: Target, started: float, at_least: float = 0.0) -> None:
        now = self._now()
        target.answered(max(now - started, at_least), now, self.policy.memory)
        target.failing *= 1.0 - self.policy.weight
        if target.ejections and target.failing < 0.1:
            target.ejections = 0

    def _learn_from(self, error: BaseException, target: Target, call: Call, started: float) -> None:
        if isinstance(error, CallError):
            error.origin = target.endpoint.address
        if blames(error, call, self._now()):
            self._failed(target, self._now())
        elif isinstance(error, CallError) and error.code is Code.RESOURCE_EXHAUSTED:
            # it refuses quickly because it is slow: its speed is the time after which it wants to be asked again
            self._answered(target, started, at_least=error.retry_after or 0.1)
        elif isinstance(error, Exception):  # a refusal or a fault is an answer
            self._answered(target, started)

    def choose(self, call: Call) -> Target:
        """The endpoint for a call: none that is ejected or failed it before, while there is another."""
        candidates = self._targets
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            raise CallError(Code.UNAVAILABLE, f"{self.dependency}: no endpoint is known", may_have_happened=False)
        now = self._now()
        if tried := tried_by(call):  # an endpoint that was ejected may have recovered; this one has just failed
            candidates = [target for target in candidates if target.endpoint.address not in tried] or candidates
        # Where all are ejected each may be chosen: a call that may fail is better than one that surely does.
        candidates = [target for target in candidates if target.ejected_until <= now] or candidates
        if len(candidates) < 2:
            return candidates[0]
        # Two at random and not the best of all: callers that all saw the same best one would run it over.
        one, other = self._rng.sample(candidates, 2)
        memory = self.policy.memory
        return one if one.load(now, memory) <= other.load(now, memory) else other

    def _failed(self, target: Target, now: float) -> None:
        policy = self.policy
        target.failing += (1.0 - target.failing) * policy.weight
        if target.failing < policy.threshold or target.ejected_until > now:
            return
        # A fault that all share is no reason to leave one out: then the rest would carry its load as well.
        ejected = sum(each.ejected_until > now for each in self._targets)
        total = len(self._targets)
        if total < 2 or ejected >= max(1, int(total * policy.share)):
            return
        if not self.heard_elsewhere(target, self._begun):  # they are yet to start: it does no worse than they do
            return
        target.ejections += 1
        seconds = min(policy.eject_at_most, policy.eject_for * target.ejections) * self._rng.uniform(1.0, 1.2)
        target.ejected_until = now + seconds
        # `failing` stays as it is: one more failure after its return ejects it again
        self._emit(Ejected(self.dependency, target.endpoint.address, seconds))


def _hope(error: CallError) -> int:
    """How far a retry may help: after a failure, after the probes of a breaker, and least while that is open."""
    return 2 if not isinstance(error, BreakerOpen) else 1 if error.probed is not None else 0


def _moves(call: Call, error: CallError) -> bool:
    """Whether the call is to be taken to another endpoint at once."""
    if error.code is not Code.UNAVAILABLE or error.from_service or not call.repeatable:
        return False
    if not error.may_have_happened:
        return True
    moved = isinstance(call, Attempt) and call.moved
    return error.lost and not moved and call.operation.semantics.repeatable
