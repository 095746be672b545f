"""Bulkhead: a slow dependency can hold only so many of its caller's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.contracts.bounds import Count, Pause, Room
from meristem.contracts.message import Message
from meristem.errors import CallError, Code
from meristem.resilience.facts import OnFact, Shed, ignore
from meristem.resilience.gate import Gate, LeavingStream

if TYPE_CHECKING:
    from meristem.contracts.call import Call, Handler


class BulkheadPolicy(Message, forbid_unknown_fields=True):
    """How many calls one process may have in flight to one dependency, and how many wait for how many seconds."""

    limit: Count = 512
    queue: Room = 512
    wait: Pause = 0.5


class Bulkhead:
    """Bounds the calls to one dependency."""

    def __init__(self, dependency: str, policy: BulkheadPolicy | None = None, *, on_fact: OnFact = ignore) -> None:
        self.dependency = dependency
        self.policy = policy or BulkheadPolicy()
        self.gate = Gate(self.policy.limit, self.policy.queue, self.policy.wait)
        self._emit = on_fact

    def middleware(self, handler: Handler) -> Handler:
        """Let a call through when there is room; a stream keeps its room until it ends."""
        gate = self.gate

        async def bounded(call: Call) -> Any:
            if not gate.try_enter() and not await gate.enter():
                raise self._refusal()
            try:
                reply = await handler(call)
            except BaseException:
                gate.leave()
                raise
            if call.operation.stream:
                return LeavingStream(reply, gate.leave)
            gate.leave()
            return reply

        return bounded

    def _refusal(self) -> CallError:
        policy = self.policy
        self._emit(Shed(self.dependency, policy.limit))
        return CallError(
            Code.RESOURCE_EXHAUSTED,
            f"{self.dependency}: {policy.limit} calls are in flight to it already, and none ended within "
            f"{policy.wait:g} s (bulkhead)",
            may_have_happened=False,
            retry_after=policy.wait,
        )
