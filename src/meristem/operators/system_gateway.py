"""Answers `GatewayControl` for a whole system: each replica of its edge is asked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.contracts.contract import operations
from meristem.errors import CallError, Code
from meristem.gateway.policy.refusals import LATEST
from meristem.operators.gateway_contract import FULLEST, MOST_BANS, BanChange, GatewayControl, GatewayView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meristem.gateway.certificate_view import CertificateView
    from meristem.operators.asking import Asking
    from meristem.operators.gateway_contract import ConcurrencyView, GatewayRouteView, LimitKeyView, LimitView
    from meristem.operators.recent_routes import RecentRoutes

ASKED: Final = operations(GatewayControl)


class SystemGateway:
    """One system's gateway, in however many replicas; what is silent is named."""

    def __init__(self, asking: Asking, recent: RecentRoutes | None = None) -> None:
        self._asking = asking
        self._recent = recent

    async def overview(self) -> GatewayView:
        found = await self._asking.each_replica(ASKED["overview"], ASKED["overview"].request())
        merged = merged_gateways(found.told, found.silent)
        if self._recent is None:
            return merged
        return replace(merged, routes=[replace(each, last_minute=self._recent.of(each.name)) for each in merged.routes])

    async def unban(self, address: str) -> BanChange:
        return await self._change("unban", address=address)

    async def ban(self, address: str, seconds: float, why: str) -> BanChange:
        return await self._change("ban", address=address, seconds=seconds, why=why)

    async def _change(self, name: str, **arguments: object) -> BanChange:
        found = await self._asking.each_replica(ASKED[name], ASKED[name].request(**arguments))
        replicas = sum(each.replicas for each in found.told)
        if not replicas and not found.silent:
            overview = await self.overview()
            if not overview.bans_there:
                text = "nobody is banned here: the placement has no [gateway.firewall.ban]"
                raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False)
        return BanChange(replicas=replicas, silent=list(found.silent))


def merged_gateways(found: Sequence[GatewayView], silent: Sequence[str]) -> GatewayView:
    """All replicas as one: sums, and of what each knows for itself the latest and the fullest."""
    there = [each for each in found if each.is_there]
    routes: dict[str, GatewayRouteView] = {}
    limits: dict[str, LimitView] = {}
    crowds: dict[str, ConcurrencyView] = {}
    for one in there:
        for route in one.routes:
            known = routes.get(route.name)
            routes[route.name] = route if known is None else _added_route(known, route)
        for limit in one.limits:
            before = limits.get(limit.name)
            limits[limit.name] = limit if before is None else _added_limit(before, limit)
        for crowd in one.concurrency:
            other = crowds.get(crowd.name)
            crowds[crowd.name] = crowd if other is None else _added_crowd(other, crowd)
    bans = {each.address: each for one in there for each in sorted(one.bans, key=lambda ban: ban.until)}
    rules = {each.name: each for one in there for each in one.rules}
    latest = sorted((each for one in there for each in one.latest), key=lambda each: each.time, reverse=True)
    return GatewayView(
        is_there=bool(there),
        bans_there=any(each.bans_there for each in there),
        routes=list(routes.values()),
        limits=list(limits.values()),
        concurrency=list(crowds.values()),
        rules=list(rules.values()),
        bans=sorted(bans.values(), key=lambda each: each.since, reverse=True)[:MOST_BANS],
        banned=max((len(bans), *(each.banned for each in there))),
        latest=latest[:LATEST],
        silent=list(silent),
        certificate=min((each.certificate for each in there if each.certificate), key=_end, default=None),
    )


def _end(certificate: CertificateView) -> float:
    return certificate.until or 0.0


def _added_route(one: GatewayRouteView, other: GatewayRouteView) -> GatewayRouteView:
    return replace(
        one,
        admitted=one.admitted + other.admitted,
        refused=dict(Counter(one.refused) + Counter(other.refused)),
        would_refuse=dict(Counter(one.would_refuse) + Counter(other.would_refuse)),
        answered=dict(Counter(one.answered) + Counter(other.answered)),
        statuses=dict(sorted((Counter(one.statuses) + Counter(other.statuses)).items())),
        durations=[sum(each) for each in zip(one.durations, other.durations, strict=True)],
    )


def _added_limit(one: LimitView, other: LimitView) -> LimitView:
    return replace(
        one,
        # In a store both count the same keys.
        keys=max(one.keys, other.keys) if one.store else one.keys + other.keys,
        waiting=one.waiting + other.waiting,
        fullest=_fullest((*one.fullest, *other.fullest)),
        is_away=one.is_away or other.is_away,
    )


def _added_crowd(one: ConcurrencyView, other: ConcurrencyView) -> ConcurrencyView:
    return replace(
        one,
        inside=one.inside + other.inside,
        keys=one.keys + other.keys,
        fullest=_fullest((*one.fullest, *other.fullest)),
    )


def _fullest(found: Iterable[LimitKeyView]) -> list[LimitKeyView]:
    by_key: dict[str, LimitKeyView] = {}
    for each in found:
        if each.key not in by_key or by_key[each.key].share < each.share:
            by_key[each.key] = each
    return sorted(by_key.values(), key=lambda each: each.share, reverse=True)[:FULLEST]
