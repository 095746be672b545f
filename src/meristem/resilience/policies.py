"""All policies of one dependency or service as data, so that a placement can override each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from meristem.contracts.bounds import Attempts, Pause, Seconds, unfit
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

    timeout: Seconds | None = None
    idle: Seconds | None = None
    attempts: Attempts | None = None
    base: Pause | None = None
    cap: Pause | None = None

    def problem(self, operation: Operation) -> str | None:
        """What cannot be meant of this operation; None for a sound policy."""
        if self.idle is not None and not operation.lasts:
            return f"idle = {self.idle!r} is for streams; give a timeout"
        return unfit(self.govern(operation).retry)

    def govern(self, operation: Operation) -> Operation:
        """The operation on these terms."""
        wanted = {"attempts": self.attempts, "base": self.base, "cap": self.cap}
        retry = replace(operation.retry, **{name: value for name, value in wanted.items() if value is not None})
        return operation.under(timeout=self.timeout, idle=self.idle, retry=retry)


class Policies(Message, forbid_unknown_fields=True):
    """What holds where a placement says nothing else; durations in seconds.

    `transport` is how processes of the system call the service: over HTTP, or `grpc`.
    """

    transport: Literal["http", "grpc"] = "http"
    budget: BudgetPolicy = BudgetPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    balancer: BalancerPolicy = BalancerPolicy()
    hedge: HedgePolicy = HedgePolicy()
    bulkhead: BulkheadPolicy = BulkheadPolicy()
    limiter: LimiterPolicy = LimiterPolicy()
    operations: dict[str, OperationPolicy] = {}
