"""All limits of a gateway by their names, which of them a route has, and what of them outlives a new table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.gateway.policy.concurrency_limit import ConcurrencyLimit
from meristem.gateway.policy.limit_stores import LIMIT_STORES
from meristem.gateway.policy.limit_tables import MEMORY
from meristem.gateway.policy.rate_limit import RateLimit
from meristem.gateway.policy.route_limits import RouteLimits
from meristem.gateway.policy.shared_limits import SharedLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable
    from meristem.gateway.policy.refusals import Refusals
    from meristem.gateway.policy.visit import Check


class LimitBook:
    """The limits of `rates` and `concurrency`; one that stands so in the book `before` goes on as it is.

    Raises ConfigurationError for a store that nothing installed knows.
    """

    def __init__(
        self,
        rates: Mapping[str, RateLimitTable],
        concurrency: Mapping[str, ConcurrencyTable],
        refusals: Refusals,
        now: Callable[[], float],
        *,
        system: str = "",
        before: LimitBook | None = None,
    ) -> None:
        known: Mapping[str, RateLimit] = {} if before is None else before.rates
        crowds: Mapping[str, ConcurrencyLimit] = {} if before is None else before.concurrency
        stores: Mapping[str, SharedLimits] = {} if before is None else before.stores
        self.rates: dict[str, RateLimit] = {
            name: known[name] if name in known and known[name].table == each else RateLimit(name, each)
            for name, each in rates.items()
        }
        self.concurrency: dict[str, ConcurrencyLimit] = {
            name: crowds[name]
            if name in crowds and crowds[name].table == each
            else ConcurrencyLimit(name, each, refusals)
            for name, each in concurrency.items()
        }
        urls = {each.store for each in rates.values()} - {MEMORY}
        # Those of the book before it, too: whoever is on the way may still ask them.
        self.stores: dict[str, SharedLimits] = {
            **stores,
            **{url: _opened(url, system) for url in sorted(urls) if url not in stores},
        }
        self._refusals = refusals
        self._now = now

    def early(self, names: Sequence[str], concurrency: Sequence[str]) -> Iterator[Check]:
        """What is counted before it is known who asks."""
        rates = [self.rates[name] for name in names]
        now = [each for each in rates if not each.asks_who]
        yield from self._limits(now, is_followed=bool(concurrency) or len(now) < len(rates))

    def late(self, names: Sequence[str], concurrency: Sequence[str]) -> Iterator[Check]:
        """What is counted by who asks, and last of all how many are in flight."""
        rates = [self.rates[name] for name in names if self.rates[name].asks_who]
        yield from self._limits(rates, is_followed=bool(concurrency))
        yield from (self.concurrency[name] for name in concurrency)

    async def stop(self) -> None:
        """Close the stores."""
        for each in self.stores.values():
            await each.stop()

    def _limits(self, limits: Sequence[RateLimit], *, is_followed: bool) -> Iterator[Check]:
        if limits:
            yield RouteLimits(limits, self._refusals, self._now, self.stores, is_followed=is_followed)


def _opened(url: str, system: str) -> SharedLimits:
    # Named by its scheme and host alone: the rest may hold a password.
    name = f"the limit store {url.partition(':')[0]}://{url.rpartition('@')[2].rpartition('//')[2]}"
    return SharedLimits(name, LIMIT_STORES.adapter(url)(url, system=system))
