"""The policy of a `[gateway]` table at work: each request finds its route, whose checks let it in or refuse it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from meristem.errors import ConfigurationError
from meristem.gateway.policy.authentication import RouteRequirement
from meristem.gateway.policy.ban_book import BanBook
from meristem.gateway.policy.body_limit import BodyLimit
from meristem.gateway.policy.canonical_path import UnsoundPathError, canonical_path
from meristem.gateway.policy.compression_rules import Compression
from meristem.gateway.policy.cors import ASKED_METHOD, CrossOrigin, is_preflight
from meristem.gateway.policy.edge_hosts import HttpsAlone, KnownHosts, Redirect
from meristem.gateway.policy.firewall import Firewall
from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.header_rules import AnswerRules, RequestHeaders
from meristem.gateway.policy.host_names import host_name
from meristem.gateway.policy.limit_book import LimitBook
from meristem.gateway.policy.part_paths import PartPaths
from meristem.gateway.policy.refusals import Refusals
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.gateway.policy.visit import Visit
from meristem.quantities import seconds_of
from meristem.transports.http.edge_policy import CUT_OFF, Admitted, Pending
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable, Iterator

    from meristem.gateway.policy.authentication import Authenticator
    from meristem.gateway.policy.firewall_table import FirewallRule
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.route_answers import RouteAnswers
    from meristem.gateway.policy.visit import Check, Outcome
    from meristem.transports.http.edge_policy import Verdict
    from meristem.transports.http.request import Request

ELSE: Final = "*"  # the route of what no other fits
UNSOUND_PATH: Final = "path"
TWO_ROUTES: Final = "the path is on two routes, by how it is read: write it without `;` and `\\`"


class CheckedRoute(NamedTuple):
    """A route by its name, and what is looked at on it, in this order."""

    name: str
    checks: tuple[Check, ...]
    answers: AnswerRules
    tally: RouteAnswers
    requests: RequestHeaders | None = None
    body_bytes: int | None = None
    timeout: float | None = None
    retries: int = 0
    answers_preflights: bool = False


class RoutedHead(NamedTuple):
    """Where a request is by its head: found once, for a client that keeps its connection mostly sends the same one."""

    gatekeeper: Gatekeeper
    route: CheckedRoute
    path: bytes
    host: str


class Gatekeeper:
    """Decides about every request of the public addresses of `system`, as one table says.

    `refusals` tell what became of requests. Of the one `before` it, whose table was another, goes on what has not
    changed: what was counted, who is banned, limits whose numbers have stayed.
    """

    def __init__(
        self,
        table: GatewayTable,
        now: Callable[[], float] = time.monotonic,
        parts: PartPaths | None = None,
        authenticator: Authenticator | None = None,
        *,
        system: str = "",
        before: Gatekeeper | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._table = table
        self.now = now
        self.route_names = (*table.routes, ELSE)
        self.refusals: Refusals = Refusals() if before is None else before.refusals
        known: LimitBook | None = None if before is None else before.limits
        self.limits: LimitBook = LimitBook(
            table.limits, table.concurrency, self.refusals, now, system=system, before=known
        )
        known_bans: BanBook | None = None if before is None else before.bans
        self.bans: BanBook | None = (
            None if table.firewall.ban is None else BanBook(table.firewall, self.refusals, now, before=known_bans)
        )
        self._firewall = Firewall(table.firewall, self.refusals, now) if table.firewall.rules else None
        checked = {name: self._checked(name, each) for name, each in table.routes.items()}
        self._rest = self._checked(ELSE, GatewayRouteTable())
        self._routes = RouteChoice(table.routes, checked, self._rest, PartPaths() if parts is None else parts)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many requests came, by route and by what let them in or refused them."""
        return self.refusals.counts

    @property
    def rules(self) -> list[tuple[str, FirewallRule]]:
        """The rules of the firewall by their names, in their order."""
        return [*zip(self._table.firewall.names(), self._table.firewall.rules, strict=True)]

    async def stop(self) -> None:
        """Let go of what is open, of those before it, too."""
        await self.limits.stop()

    @property
    def version(self) -> object:
        """Itself, for its rules never change."""
        return self

    def check(self, request: Request) -> Verdict | Pending:
        """The verdict about a request, or one that takes its time."""
        routed = request.found
        if not isinstance(routed, RoutedHead) or routed.gatekeeper is not self:
            try:
                routed = self._route_of(request)
            except UnsoundPathError as error:
                return self._unsound(request, str(error))
            request.found = routed
        _, route, path, host = routed
        visit = Visit(request, route.name, path, host)
        request.route, request.refused = route.name, ""
        try:
            for at, check in enumerate(route.checks):
                outcome = check(visit)
                if isinstance(outcome, Response):
                    return self._refuse(visit, route, check, outcome)
                if outcome is not None:
                    return Pending(self._wait(visit, route, route.checks[at:], outcome), partial(_leave, visit))
        except BaseException:  # a check failed, and those before it may hold something
            _leave(visit)
            raise
        return self._admit(visit, route)

    def _route_of(self, request: Request) -> RoutedHead:
        """The route that a request is on, by its head alone; raises UnsoundPathError."""
        request.path, path = canonical_path(request.path)
        host = host_name(request.host)
        method = request.method
        if is_preflight(request):  # of a route that answers it; elsewhere an app does, by the method that it has
            asked = request.head[ASKED_METHOD].decode("latin-1")
            if self._routes.find(path, request.path, host, asked).answers_preflights:
                method = asked
        route = self._routes.find(path, request.path, host, method)
        if path is not request.path and self._other_route(request.path, host, method) is not route:
            raise UnsoundPathError(TWO_ROUTES)
        return RoutedHead(self, route, path, host)

    def _other_route(self, served: bytes, host: str, method: str) -> CheckedRoute:
        """The route by who takes parameters of a segment and `\\` for parts of names, as not all readers do."""
        return self._routes.find(unquote_to_bytes(served), served, host, method)

    def _unsound(self, request: Request, why: str) -> Response:
        refusal = refused(400, why)
        fields = self._rest.answers.completed(request, [*refusal.fields])
        request.route, request.refused = ELSE, f"{UNSOUND_PATH}: {why}"
        self.refusals.refused(Visit(request, ELSE), UNSOUND_PATH, refusal)
        return Response(refusal.status, refusal.media, refusal.body, fields)

    async def _wait(
        self, visit: Visit, route: CheckedRoute, checks: tuple[Check, ...], pending: Awaitable[Outcome] | None
    ) -> Verdict:
        """The verdict from a check on that takes its time, of which `pending` is the outcome."""
        try:
            for check in checks:
                outcome = pending or check(visit)
                pending = None
                if outcome is not None and not isinstance(outcome, Response):
                    outcome = await outcome
                if outcome is not None:
                    return self._refuse(visit, route, check, outcome)
            return self._admit(visit, route)
        except BaseException:  # its client has gone, or a check failed: what it holds is free again
            _leave(visit)
            raise

    def _checked(self, name: str, route: GatewayRouteTable) -> CheckedRoute:
        table = self._table
        requests = RequestHeaders(table.request_headers, route.request_headers)
        return CheckedRoute(
            name,
            tuple(self._checks(route)),
            AnswerRules(
                table.headers,
                route.headers,
                None if table.compression is None or not route.compression else Compression(table.compression),
                cors=(route.cors or table.cors) is not None,
            ),
            self.refusals.answers[name],
            requests or None,
            route.body_bytes or table.body_bytes,
            None if route.timeout is None else seconds_of(route.timeout),
            route.retries,
            (route.cors or table.cors) is not None,
        )

    def _foremost(self) -> Iterator[Check]:
        """What is looked at before it matters which route a request is on."""
        if self.bans is not None:
            yield self.bans
        if self._firewall is not None:
            yield self._firewall
        if self._table.hosts:
            yield KnownHosts(self._table.hosts)
        if self._table.https:
            yield HttpsAlone()

    def _checks(self, route: GatewayRouteTable) -> Iterator[Check]:
        """What is looked at on a route, from what costs least to what costs most."""
        table = self._table
        yield from self._foremost()
        if (cors := route.cors or table.cors) is not None:
            yield CrossOrigin(cors)  # a browser follows no redirect of a preflight, and else one that it may read
        if route.redirection is not None:
            yield Redirect(route.redirection)
        if (most := route.body_bytes or table.body_bytes) is not None:
            yield BodyLimit(most)
        yield from self.limits.early(route.limits, route.concurrency)
        if self._authenticator is not None and self._authenticator.sign_in is not None:
            yield self._authenticator.sign_in
        if route.require is not None:
            if self._authenticator is None:
                raise ConfigurationError("a route asks who sends a request, and nothing here tells that")
            yield RouteRequirement(self._authenticator, route.require, route.roles, route.scopes)
        yield from self.limits.late(route.limits, route.concurrency)

    def _admit(self, visit: Visit, route: CheckedRoute) -> Admitted:
        self.refusals.admitted(visit)
        if route.requests is not None:
            route.requests.apply(visit.request)
        left = (lambda: _leave(visit)) if visit.leaving else None
        return Admitted(visit.fields, left, route.answers, route.body_bytes, route.timeout, route.retries, route.tally)

    def _refuse(self, visit: Visit, route: CheckedRoute, check: Check, response: Response) -> Response:
        by = visit.by or check.name
        why = self.refusals.refused(visit, by, response)
        visit.request.refused = f"{by}: {why}" if why else by
        _leave(visit)
        if self.bans is not None and visit.violation is not None:
            self.bans.blame(visit, why)
        if response is CUT_OFF:
            return response
        # The gateway's own words are not shaped: of other origins it alone tells.
        fields = route.answers.completed(visit.request, [*response.fields, *visit.fields])
        return Response(response.status, response.media, response.body, fields)


def _leave(visit: Visit) -> None:
    leaving, visit.leaving = visit.leaving, []
    for each in leaving:
        each()
