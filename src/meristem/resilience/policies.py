"""All policies of one dependency or service as data, so that a placement can override each of them."""

from __future__ import annotations

from meristem.contracts.message import Message
from meristem.resilience.balancer import BalancerPolicy
from meristem.resilience.breaker import BreakerPolicy
from meristem.resilience.bulkhead import BulkheadPolicy
from meristem.resilience.hedge import HedgePolicy
from meristem.resilience.limiter import LimiterPolicy
from meristem.resilience.retry import BudgetPolicy


class Policies(Message, forbid_unknown_fields=True):
    """What holds where a placement says nothing else; durations in seconds."""

    budget: BudgetPolicy = BudgetPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    balancer: BalancerPolicy = BalancerPolicy()
    hedge: HedgePolicy = HedgePolicy()
    bulkhead: BulkheadPolicy = BulkheadPolicy()
    limiter: LimiterPolicy = LimiterPolicy()
