"""The rate limits of a route as one check: where one of them refuses, none has been charged."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.token_bucket import withdrawal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from meristem.gateway.policy.rate_limit import RateLimit
    from meristem.gateway.policy.refusals import Refusals
    from meristem.gateway.policy.shared_limits import SharedLimits
    from meristem.gateway.policy.token_bucket import Withdrawal
    from meristem.gateway.policy.visit import Outcome, Visit
    from meristem.transports.http.responses import Response


class AskedLimit(NamedTuple):
    """What a limit says to a request: `shared` is set where all replicas count it together."""

    limit: RateLimit
    key: str
    found: Withdrawal
    shared: SharedLimits | None = None


class RouteLimits:
    """Limits that are asked together; a request is charged by all of them or, where one refuses, by none.

    Of several that delay it the longest time counts. One that runs dry refuses nothing, and is told of in no answer.
    `stores` are by their addresses those that replicas share. Where other limits follow, what these took can be given
    back.
    """

    name = "limits"

    def __init__(
        self,
        limits: Sequence[RateLimit],
        refusals: Refusals,
        now: Callable[[], float],
        stores: Mapping[str, SharedLimits] = {},
        *,
        is_followed: bool = False,
    ) -> None:
        self._limits = limits
        self._refusals = refusals
        self._now = now
        self._stores = {each.name: stores.get(each.table.store) for each in limits}
        self._is_shared = any(self._stores.values())
        self._is_followed = is_followed

    def __call__(self, visit: Visit, /) -> Outcome | Awaitable[Outcome]:
        if self._is_shared:
            return self._ask_stores(visit)
        now = self._now()
        asked = []
        for limit in self._limits:
            key = limit.key(visit)
            asked.append(AskedLimit(limit, key, limit.buckets.look(key, now)))
        return self._decide(visit, asked, now)

    async def _ask_stores(self, visit: Visit) -> Outcome:
        """As for local ones; what the stores count is charged by them first, and given back where a local one refuses.

        The limits of a store that is away are counted here as long as it is.
        """
        now = self._now()
        keys = [(limit, limit.key(visit)) for limit in self._limits]
        asked = {limit.name: AskedLimit(limit, key, limit.buckets.look(key, now)) for limit, key in keys}
        wanted: dict[SharedLimits, list[AskedLimit]] = {}
        for each in asked.values():
            if (store := self._stores[each.limit.name]) is not None:
                wanted.setdefault(store, []).append(each)
        if not any(_refuses(each) for each in asked.values() if self._stores[each.limit.name] is None):
            for store, those in wanted.items():
                ahead = await store.take([(each.limit, each.key) for each in those])
                for each, far in zip(those, ahead or (), strict=False):
                    interval, tolerance = each.limit.buckets.interval, each.limit.buckets.tolerance
                    asked[each.limit.name] = AskedLimit(
                        each.limit, each.key, withdrawal(far, interval, tolerance), store
                    )
        outcome = self._decide(visit, list(asked.values()), self._now())
        if isinstance(outcome, asyncio.Future):
            await outcome
            return None
        return outcome

    def _decide(self, visit: Visit, asked: Sequence[AskedLimit], now: float) -> Outcome | asyncio.Future[None]:
        refusing = [each for each in asked if _refuses(each)]
        if refusing:
            return self._refuse(visit, asked, max(refusing, key=lambda each: each.found.wait))
        slowest, wait = None, 0.0
        for each in asked:
            if each.found.allowed and not each.limit.table.dry_run and (delay := each.limit.delay(each.found)) > wait:
                slowest, wait = each, delay
        if slowest is not None and slowest.limit.waiting >= slowest.limit.table.waiting:
            return self._refuse(visit, asked, slowest, crowded=True)
        for each in asked:
            self._charge(visit, each, now)
        return None if slowest is None else slowest.limit.turn(wait)

    def _charge(self, visit: Visit, asked: AskedLimit, now: float) -> None:
        limit, key, found, shared = asked
        if not found.allowed:  # it runs dry
            self._refusals.would(visit, limit.name, _reason(limit))
            return
        # What a store has charged is noted here, too, so that nobody begins anew with a whole burst when it goes away.
        limit.buckets.note(key, now + found.ahead + limit.buckets.interval, now)
        if self._is_followed:
            visit.charges.append(lambda: limit.buckets.give_back(key))
            if shared is not None:
                visit.charges.append(lambda: shared.give_back(limit, key))
        if not limit.table.dry_run:
            visit.fields += limit.fields(key, found, taken=True)

    def _refuse(self, visit: Visit, asked: Sequence[AskedLimit], by: AskedLimit, *, crowded: bool = False) -> Response:
        for each in asked:
            if not each.limit.table.dry_run:
                visit.fields += each.limit.fields(each.key, each.found, taken=False)
            # A store charges all of its limits or none: here another one refuses.
            if each.shared is not None and each.found.allowed and not _refused_in(each.shared, asked):
                each.shared.give_back(each.limit, each.key)
        visit.give_back()
        visit.by = by.limit.name
        visit.violation = "limited" if by.limit.is_personal and not crowded else None
        after = max(1, ceil(by.limit.delay(by.found) if crowded else by.found.wait))
        why = _crowded(by.limit) if crowded else _reason(by.limit)
        return refused(by.limit.table.status, f"{why}; try again in {after} s", (b"retry-after", b"%d" % after))


def _refuses(asked: AskedLimit) -> bool:
    return not asked.found.allowed and not asked.limit.table.dry_run


def _refused_in(store: SharedLimits, asked: Sequence[AskedLimit]) -> bool:
    return any(_refuses(each) for each in asked if each.shared is store)


def _reason(limit: RateLimit) -> str:
    return f"the limit {limit.name!r} allows no more requests now"


def _crowded(limit: RateLimit) -> str:
    return f"as many requests wait for their turn in the limit {limit.name!r} as may"
