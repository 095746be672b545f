"""All policies of one dependency or service as data, so that a placement can override each of them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from meristem.contracts.message import Message
from meristem.resilience.balancer import BalancerPolicy
from meristem.resilience.breaker import BreakerPolicy
from meristem.resilience.bulkhead import BulkheadPolicy
from meristem.resilience.hedge import HedgePolicy
from meristem.resilience.limiter import LimiterPolicy
from meristem.resilience.retry import BudgetPolicy

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation


class OperationPolicy(Message, forbid_unknown_fields=True):
    """What a placement says of one operation; what is None is as its contract declares."""

    timeout: float | None = None
    idle: float | None = None
    attempts: int | None = None
    base: float | None = None
    cap: float | None = None

    def problem(self, operation: Operation) -> str | None:
        """What cannot be meant; None for a sound policy."""
        for name, seconds in (("timeout", self.timeout), ("idle", self.idle)):
            if seconds is not None and not 0 < seconds < inf:
                return f"{name} = {seconds:g}; give more than 0 seconds"
        if self.idle is not None and not operation.stream:
            return f"idle = {self.idle:g} is for streams; give a timeout"
        if self.attempts is not None and self.attempts < 1:
            return f"attempts = {self.attempts}; give at least 1, which is the call itself"
        for name, seconds in (("base", self.base), ("cap", self.cap)):
            if seconds is not None and not 0 <= seconds < inf:
                return f"{name} = {seconds:g}; give 0 seconds or more"
        return None

    def govern(self, operation: Operation) -> Operation:
        """The operation on these terms."""
        wanted = {"attempts": self.attempts, "base": self.base, "cap": self.cap}
        retry = replace(operation.retry, **{name: value for name, value in wanted.items() if value is not None})
        return operation.under(timeout=self.timeout, idle=self.idle, retry=retry)


class Policies(Message, forbid_unknown_fields=True):
    """What holds where a placement says nothing else; durations in seconds."""

    budget: BudgetPolicy = BudgetPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    balancer: BalancerPolicy = BalancerPolicy()
    hedge: HedgePolicy = HedgePolicy()
    bulkhead: BulkheadPolicy = BulkheadPolicy()
    limiter: LimiterPolicy = LimiterPolicy()
    operations: dict[str, OperationPolicy] = {}
