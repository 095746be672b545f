"""The policy of a `[gateway]` table at work: each request finds its route, whose checks let it in or refuse it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.errors import ConfigurationError
from meristem.gateway.policy.authentication import RouteRequirement
from meristem.gateway.policy.canonical_path import UnsoundPathError, canonical_path
from meristem.gateway.policy.edge_hosts import HttpsAlone, KnownHosts, Redirect
from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.host_names import host_name
from meristem.gateway.policy.part_paths import PartPaths
from meristem.gateway.policy.rate_limit import RateLimit
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.visit import Visit
from meristem.transports.http.edge_policy import Admitted
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from meristem.gateway.policy.authentication import Authenticator
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.route_table import GatewayRouteTable
    from meristem.gateway.policy.visit import Check, Outcome
    from meristem.transports.http.edge_policy import Verdict
    from meristem.transports.http.request import Request

ELSE: Final = "*"  # the route of what no other fits
ADMITTED: Final = "admitted"
UNSOUND_PATH: Final = "path"


class CheckedRoute(NamedTuple):
    """A route by its name, and what is looked at on it, in this order."""

    name: str
    checks: tuple[Check, ...]


class Gatekeeper:
    """Decides about every request of the public addresses, as one table says.

    `counts` are, by route and by what let it in or refused it, how many requests came.
    """

    def __init__(
        self,
        table: GatewayTable,
        now: Callable[[], float] = time.monotonic,
        parts: PartPaths | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._limits = {name: RateLimit(name, each, now) for name, each in table.limits.items()}
        self._everywhere = tuple(_of_all(table, authenticator))
        checked = {name: CheckedRoute(name, tuple(self._checks(each))) for name, each in table.routes.items()}
        self._routes = RouteChoice(
            table.routes, checked, CheckedRoute(ELSE, self._everywhere), PartPaths() if parts is None else parts
        )
        self.counts: Counter[tuple[str, str]] = Counter()

    def check(self, request: Request) -> Verdict | Awaitable[Verdict]:
        """The verdict about a request, or what it is awaited by."""
        try:
            request.path, path = canonical_path(request.path)
        except UnsoundPathError as error:
            self.counts[ELSE, UNSOUND_PATH] += 1
            return refused(400, str(error))
        host = host_name(request.host)
        route = self._routes.find(path, request.path, host, request.method)
        visit = Visit(request, route.name, path, host)
        for at, check in enumerate(route.checks):
            outcome = check(visit)
            if isinstance(outcome, Response):
                return self._refuse(visit, check, outcome)
            if outcome is not None:
                return self._wait(visit, route.checks[at:], outcome)
        return self._admit(visit)

    async def _wait(self, visit: Visit, checks: tuple[Check, ...], pending: Awaitable[Outcome] | None) -> Verdict:
        """The verdict from a check on that takes its time, of which `pending` is the outcome."""
        try:
            for check in checks:
                outcome = pending or check(visit)
                pending = None
                if outcome is not None and not isinstance(outcome, Response):
                    outcome = await outcome
                if outcome is not None:
                    return self._refuse(visit, check, outcome)
            return self._admit(visit)
        except BaseException:  # its client has gone, or a check failed: what it holds is free again
            _leave(visit)
            raise

    def _checks(self, route: GatewayRouteTable) -> Iterator[Check]:
        """What is looked at on a route, from what costs least to what costs most."""
        yield from self._everywhere
        if route.redirection is not None:
            yield Redirect(route.redirection)
        if route.require is not None:
            if self._authenticator is None:
                raise ConfigurationError("a route asks who sends a request, and nothing here tells that")
            yield RouteRequirement(self._authenticator, route.require, route.roles, route.scopes)
        yield from (self._limits[each] for each in route.limits)

    def _admit(self, visit: Visit) -> Admitted:
        self.counts[visit.route, ADMITTED] += 1
        return Admitted(visit.fields, (lambda: _leave(visit)) if visit.leaving else None)

    def _refuse(self, visit: Visit, check: Check, response: Response) -> Response:
        self.counts[visit.route, visit.by or check.name] += 1
        _leave(visit)
        return Response(response.status, response.media, response.body, [*response.fields, *visit.fields])


def _of_all(table: GatewayTable, authenticator: Authenticator | None) -> Iterator[Check]:
    """What is looked at on every route, and on none."""
    if table.hosts:
        yield KnownHosts(table.hosts)
    if table.https:
        yield HttpsAlone()
    if authenticator is not None and authenticator.sign_in is not None:
        yield authenticator.sign_in


def _leave(visit: Visit) -> None:
    leaving, visit.leaving = visit.leaving, []
    for each in leaving:
        each()
