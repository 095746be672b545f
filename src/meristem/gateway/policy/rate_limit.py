"""A rate limit as a check: who asks too often is refused, or waits for its turn."""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import TYPE_CHECKING

from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.quantities import rate_of
from meristem.gateway.policy.token_bucket import TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.gateway.policy.gateway_table import RateLimitTable
    from meristem.gateway.policy.token_bucket import Withdrawal
    from meristem.gateway.policy.visit import Outcome, Visit


class RateLimit:
    """One limit of the table, for all routes that name it; its answers tell how it stands (`RateLimit` fields)."""

    def __init__(self, name: str, table: RateLimitTable, now: Callable[[], float]) -> None:
        self.name = name
        number, seconds = rate_of(table.rate)
        self._now = now
        self._buckets = TokenBuckets(number / seconds, table.burst)
        self._key = address_key if table.by == "address" else _everybody
        self._status = table.status
        self._delays = table.delay
        # The most that may come within the time in which an empty bucket fills.
        window = ceil((table.burst + 1) * seconds / number)
        self._policy = (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name.encode(), table.burst + 1, window))

    def __call__(self, visit: Visit, /) -> Outcome | Awaitable[Outcome]:
        taken = self._buckets.take(self._key(visit), self._now())
        visit.fields += (self._policy, self._state(taken))
        if not taken.allowed:
            after = b"%d" % max(1, ceil(taken.wait))
            detail = f"the limit {self.name!r} allows no more requests now; try again in {after.decode()} s"
            return refused(self._status, detail, (b"retry-after", after))
        return asyncio.sleep(taken.wait) if self._delays and taken.wait > 0 else None

    def _state(self, taken: Withdrawal) -> tuple[bytes, bytes]:
        return b"ratelimit", b'"%b";r=%d;t=%d' % (self.name.encode(), taken.left, ceil(taken.reset))


def address_key(visit: Visit) -> str:
    """Who is counted as one: an IPv4 address, or a network of 64 bits, all of which one host may have."""
    client = visit.request.client
    if ":" not in client:
        return client
    address = ip_address(client.partition("%")[0])
    if not isinstance(address, IPv6Address):
        return client
    return client if address.ipv4_mapped is not None else str(int(address) >> 64)


def _everybody(visit: Visit) -> str:  # noqa: ARG001 - of the same shape as `address_key`
    return ""
