"""What the Kubernetes Gateway API (1.5, standard channel) has no words for; the edge behind does most of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.export.gaps import Gap, compresses, in_table, on_routes
from meristem.gateway.export.kubernetes.host_tables import METHODS, can_be_named, is_by_segments
from meristem.gateway.export.kubernetes.route_filters import (
    answer_fields,
    can_hold_cors,
    can_hold_fields,
    can_hold_timeout,
    redirect_of,
)
from meristem.gateway.policy.route_table import GatewayRouteTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.route_choice import RouteMatch

BEHIND: Final = "it is left to the edge behind"


def _anywhere(
    key: str, of_all: Callable[[GatewayTable], bool], of_route: Callable[[GatewayRouteTable], bool]
) -> Callable[[ExportedPolicy], Iterator[str]]:
    def asked(policy: ExportedPolicy) -> Iterator[str]:
        yield from in_table(f"[gateway] {key}", of_all)(policy)
        yield from on_routes(key, of_route)(policy)

    return asked


def _hosts(policy: ExportedPolicy) -> Iterator[str]:
    yield from in_table("[gateway] hosts", lambda table: not all(map(can_be_named, table.hosts)))(policy)
    yield from on_routes("hosts", lambda route: not all(map(can_be_named, route.hosts)))(policy)


def _unclear(kind: str, key: str) -> Callable[[ExportedPolicy], Iterator[str]]:
    def is_unclear(match: RouteMatch) -> bool:
        return match.kind == kind and not is_by_segments(match)

    def asked(policy: ExportedPolicy) -> Iterator[str]:
        names = {each.route for each in policy.matches if is_unclear(each)}
        yield from (f"[gateway.routes.{name}] {key}" for name in policy.table.routes if name in names)

    return asked


def _answers(policy: ExportedPolicy) -> Iterator[str]:
    for name, route in (("", GatewayRouteTable()), *policy.table.routes.items()):
        if not can_hold_fields(*answer_fields(policy.table, route, answered_here=route.redirection is not None)):
            yield f"[gateway.routes.{name}] headers" if name else "[gateway] headers"


def _https(policy: ExportedPolicy) -> Iterator[str]:
    if policy.table.https and policy.https is None:
        yield "[gateway] https"


GAPS: Final = (
    Gap(
        "`require` of a route, with `roles` and `scopes`",
        "a Gateway does not ask who sends a request",
        BEHIND,
        on_routes("require", lambda route: route.require is not None),
    ),
    Gap(
        "`limits` and `concurrency` of a route",
        "a Gateway counts no requests",
        BEHIND,
        on_routes("limits", lambda route: bool(route.limits or route.concurrency)),
    ),
    Gap(
        "`firewall`: rules and bans",
        "a Gateway refuses nobody",
        f"{BEHIND}; redirects and preflights are answered before",
        in_table("[gateway] firewall", lambda table: bool(table.firewall.rules) or table.firewall.ban is not None),
    ),
    Gap(
        "`body_bytes`",
        "a Gateway lets a body be as long as it is",
        BEHIND,
        _anywhere("body_bytes", lambda table: table.body_bytes is not None, lambda each: each.body_bytes is not None),
    ),
    Gap(
        "`compression`",
        "a Gateway compresses nothing",
        BEHIND,
        in_table("[gateway] compression", compresses),
    ),
    Gap(
        "`request_headers`",
        "a Gateway would change requests before the edge behind has looked at them",
        BEHIND,
        _anywhere(
            "request_headers",
            lambda table: bool(table.request_headers.set or table.request_headers.remove),
            lambda route: bool(route.request_headers.set or route.request_headers.remove),
        ),
    ),
    Gap(
        "`retries`",
        "a Gateway would send requests again whatever their method",
        BEHIND,
        on_routes("retries", lambda route: route.retries > 0),
    ),
    Gap(
        "`timeout` of a route for an app or a path",
        "of an app the time is until its answer begins, and a Gateway's is until it ends",
        BEHIND,
        on_routes("timeout", lambda route: route.timeout is not None and not can_hold_timeout(route)),
    ),
    Gap(
        "`https` without `--tls-secret`",
        "a Gateway without a certificate knows no TLS",
        f"{BEHIND}, which goes by what a trusted proxy tells",
        _https,
    ),
    Gap(
        "`hosts` that are addresses or have underscores",
        "a Gateway knows hosts by names alone",
        "requests for them are those for any other host here, and on their route at the edge behind",
        _hosts,
    ),
    Gap(
        "`methods` beside those of RFC 9110 and PATCH",
        "a Gateway knows no other methods than " + ", ".join(METHODS),
        "requests with others are those with any method here, and on their route at the edge behind",
        on_routes("methods", lambda route: not {*route.methods} <= {*METHODS}),
    ),
    Gap(
        "a `path` that ends within a segment, as `/img*` does",
        "a Gateway takes a beginning of a path by whole segments",
        "it is a regular expression, of which each Gateway has its own idea, and its own order among other paths",
        _unclear("below", "path"),
    ),
    Gap(
        "`operations` with placeholders in their paths at REST",
        "a Gateway knows no placeholders",
        "their paths are regular expressions, of which each Gateway has its own idea, and its own order among others",
        _unclear("rest", "operations"),
    ),
    Gap(
        "`redirect` that keeps no query, or is to an address without a name",
        "a Gateway keeps the query, and redirects to names alone",
        BEHIND,
        on_routes("redirect", lambda route: route.redirection is not None and redirect_of(route) is None),
    ),
    Gap(
        "`cors` that leaves out GET, HEAD or POST, names other methods than RFC 9110 and PATCH or `*`, or more than "
        "64 origins or fields, or is kept for less than a second",
        "a Gateway allows GET, HEAD and POST always, and has no words for this",
        BEHIND,
        _anywhere(
            "cors",
            lambda table: table.cors is not None and not can_hold_cors(table.cors),
            lambda route: route.cors is not None and not can_hold_cors(route.cors),
        ),
    ),
    Gap(
        "`headers` of answers that set or remove more than 16 fields, or set an empty one",
        "a Gateway changes 16 fields at most, and sets none without a value",
        BEHIND,
        _answers,
    ),
)
"""In the order in which they are told."""
