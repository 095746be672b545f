"""Answers `GatewayControl` of one process, and gives its figures: those of the edge, where it is one."""

from __future__ import annotations

from collections import Counter, defaultdict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from meristem.errors import CallError, Code
from meristem.gateway.policy.refusals import ADMITTED, ANSWERED, DRY
from meristem.gateway.policy.requesters import BETWEEN, kinds_of
from meristem.operators.gateway_contract import (
    FULLEST,
    MOST_BANS,
    MOST_SECONDS,
    BanChange,
    ConcurrencyView,
    GatewayRouteView,
    GatewayView,
    LimitKeyView,
    LimitView,
    RuleView,
)
from meristem.operators.inspection import RouteCounts
from meristem.security.crowds import crowd_of
from meristem.telemetry.metrics import HistogramMeasure, Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.gateway.certificate_view import CertificateView
    from meristem.gateway.policy.ban_book import BanBook
    from meristem.gateway.policy.gatekeeper import Gatekeeper
    from meristem.gateway.policy.policy_in_force import PolicyInForce
    from meristem.gateway.policy.rate_limit import RateLimit
    from meristem.telemetry.metrics import Registry

Labels = tuple[str, ...]


class GatewayDesk:
    """Tells of the `policy` in force and the `certificate`, which a process that is the edge sets."""

    def __init__(self, registry: Registry) -> None:
        self.policy: PolicyInForce | None = None
        self.certificate: Callable[[], CertificateView | None] | None = None
        for name, text, kind, labels, read in (
            ("meristem_gateway_requests_total", "Requests at the gateway, and what let them in or refused them.",
             "counter", ("route", "by"), self._requests),
            ("meristem_gateway_answers_total", "Answers to requests that were let in.", "counter", ("route", "status"),
             self._answers),
            ("meristem_gateway_limit_keys", "Keys that a rate limit counts now.", "gauge", ("limit",), self._keys),
            ("meristem_gateway_waiting", "Requests that wait for their turn.", "gauge", ("limit",), self._waiting),
            ("meristem_gateway_in_flight", "Requests that a limit has in flight.", "gauge", ("limit",), self._inside),
            ("meristem_gateway_bans", "Addresses that are banned.", "gauge", (), self._bans),
            ("meristem_gateway_store_failures_total", "Times that a limit store did not answer.", "counter", ("store",),
             self._failures),
            ("meristem_gateway_certificate_expires_timestamp_seconds", "When the certificate ends.", "gauge", (),
             self._expiry),
            ("meristem_gateway_certificate_failures", "Attempts in a row that brought no certificate.", "gauge", (),
             self._unissued),
        ):  # fmt: skip
            registry.add(Measure(name, text, kind, labels, read))  # type: ignore[arg-type]
        text = "How long requests that were let in waited for their answers to begin."
        registry.add_histogram(
            HistogramMeasure("meristem_gateway_request_duration_seconds", text, ("route",), self._durations)
        )

    @property
    def gatekeeper(self) -> Gatekeeper | None:
        """Who decides at the moment."""
        return None if self.policy is None else self.policy.gatekeeper

    async def overview(self) -> GatewayView:
        keeper = self.gatekeeper
        if keeper is None:
            return GatewayView()
        bans = [] if keeper.bans is None else keeper.bans.bans()
        return GatewayView(
            is_there=True,
            bans_there=keeper.bans is not None,
            routes=_routes(keeper),
            limits=_limits(keeper),
            concurrency=_concurrency(keeper),
            rules=[
                RuleView(name=name, action=each.action, when=each.told(), status=each.status, dry_run=each.dry_run)
                for name, each in keeper.rules
            ],
            bans=bans[:MOST_BANS],
            banned=len(bans),
            latest=[*reversed(keeper.refusals.latest)],
            certificate=self._shown(),
        )

    def counts(self) -> list[RouteCounts]:
        """What became of requests on each route that has had any."""
        keeper = self.gatekeeper
        if keeper is None:
            return []
        return [
            RouteCounts(
                route=each.name,
                admitted=each.admitted,
                refused=sum(each.refused.values()),
                statuses=each.statuses,
                buckets=each.durations,
            )
            for each in _routes(keeper)
            if each.admitted or each.refused
        ]

    async def unban(self, address: str) -> BanChange:
        bans, crowd = self._book(), _address(address)
        if bans is None:
            return BanChange(replicas=0)
        return BanChange(replicas=int(bans.lift(crowd)))

    async def ban(self, address: str, seconds: float, why: str) -> BanChange:
        bans, crowd = self._book(), _address(address)
        if not 0 < seconds <= MOST_SECONDS:
            raise CallError(Code.INVALID_ARGUMENT, f"seconds = {seconds:g}; give more than 0 and at most 30 days")
        if bans is None:
            return BanChange(replicas=0)
        if bans.is_trusted(crowd):
            raise CallError(Code.FAILED_PRECONDITION, f"{address} is trusted by the placement, and never banned")
        bans.ban(crowd, why or "by hand", seconds)
        return BanChange(replicas=1)

    def _book(self) -> BanBook | None:
        return None if self.gatekeeper is None else self.gatekeeper.bans

    def _rates(self) -> Mapping[str, RateLimit]:
        return {} if self.gatekeeper is None else self.gatekeeper.limits.rates

    def _requests(self) -> Mapping[Labels, float]:
        keeper = self.gatekeeper
        return {} if keeper is None else {key: float(count) for key, count in keeper.counts.items()}

    def _answers(self) -> Mapping[Labels, float]:
        keeper = self.gatekeeper
        if keeper is None:
            return {}
        return {
            (route, str(status)): float(count)
            for route, each in keeper.refusals.answers.items()
            for status, count in each.statuses.items()
        }

    def _durations(self) -> Mapping[Labels, tuple[Sequence[int], float]]:
        keeper = self.gatekeeper
        if keeper is None:
            return {}
        return {(route,): (each.buckets, each.seconds) for route, each in keeper.refusals.answers.items()}

    def _keys(self) -> Mapping[Labels, float]:
        keeper = self.gatekeeper
        return (
            {} if keeper is None else {(name,): float(len(each.buckets)) for name, each in keeper.limits.rates.items()}
        )

    def _waiting(self) -> Mapping[Labels, float]:
        return {(name,): float(each.waiting) for name, each in self._rates().items()}

    def _inside(self) -> Mapping[Labels, float]:
        keeper = self.gatekeeper
        if keeper is None:
            return {}
        return {(name,): float(sum(each.inside.values())) for name, each in keeper.limits.concurrency.items()}

    def _bans(self) -> Mapping[Labels, float]:
        bans = self._book()
        return {} if bans is None else {(): float(len(bans.bans()))}

    def _failures(self) -> Mapping[Labels, float]:
        keeper = self.gatekeeper
        return {} if keeper is None else {(each.name,): float(each.failures) for each in keeper.limits.stores.values()}

    def _shown(self) -> CertificateView | None:
        return None if self.certificate is None else self.certificate()

    def _expiry(self) -> Mapping[Labels, float]:
        found = self._shown()
        return {} if found is None or found.until is None else {(): found.until}

    def _unissued(self) -> Mapping[Labels, float]:
        found = self._shown()
        return {} if found is None else {(): float(found.failures)}


def _routes(keeper: Gatekeeper) -> list[GatewayRouteView]:
    admitted: Counter[str] = Counter()
    refused: defaultdict[str, dict[str, int]] = defaultdict(dict)
    answered: defaultdict[str, dict[str, int]] = defaultdict(dict)
    would: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (route, by), count in keeper.counts.items():
        if by == ADMITTED:
            admitted[route] = count
        elif by.startswith(DRY):
            would[route][by.removeprefix(DRY)] = count
        elif by.startswith(ANSWERED):
            answered[route][by.removeprefix(ANSWERED)] = count
        else:
            refused[route][by] = count
    answers = keeper.refusals.answers
    names = dict.fromkeys((*keeper.route_names, *admitted, *refused, *answered, *would))
    return [
        GatewayRouteView(
            name=each,
            admitted=admitted[each],
            refused=refused[each],
            would_refuse=would[each],
            answered=answered[each],
            statuses={str(status): count for status, count in sorted(answers[each].statuses.items())},
            durations=answers[each].buckets.copy(),
        )
        for each in names
    ]


def _limits(keeper: Gatekeeper) -> list[LimitView]:
    found = []
    for name, each in keeper.limits.rates.items():
        store = keeper.limits.stores.get(each.table.store)
        fullest = [
            LimitKeyView(key=shown_key(key), share=share) for key, share in each.buckets.fullest(FULLEST, keeper.now())
        ]
        found.append(
            LimitView(
                name=name,
                rate=each.table.rate,
                burst=each.table.burst,
                by=list(kinds_of(each.table.by)),
                keys=len(each.buckets),
                waiting=each.waiting,
                fullest=fullest,
                dry_run=each.table.dry_run,
                store="" if store is None else store.name,
                is_away=store is not None and store.is_away,
            )
        )
    return found


def _concurrency(keeper: Gatekeeper) -> list[ConcurrencyView]:
    found = []
    for name, each in keeper.limits.concurrency.items():
        most = Counter(each.inside).most_common(FULLEST)
        requests = each.table.requests
        found.append(
            ConcurrencyView(
                name=name,
                requests=requests,
                by=list(kinds_of(each.table.by)),
                inside=sum(each.inside.values()),
                keys=len(each.inside),
                fullest=[LimitKeyView(key=shown_key(key), share=count / requests) for key, count in most],
                dry_run=each.table.dry_run,
            )
        )
    return found


def shown_key(key: str) -> str:
    """A key as people read it."""
    return key.replace(BETWEEN, " · ") or "a Unix socket"


def _address(text: str) -> str:
    """What is banned as one; raises CallError `invalid_argument` for what is no address."""
    try:
        if "/" in text:  # as bans of IPv6 are listed by some
            network = ip_network(text)
            if network.version == 6 and network.prefixlen == 64:
                return crowd_of(str(network.network_address))
        return crowd_of(str(ip_address(text)))
    except ValueError:
        raise CallError(Code.INVALID_ARGUMENT, f"{text!r} is no address; write 192.0.2.1 or 2001:db8::1") from None
