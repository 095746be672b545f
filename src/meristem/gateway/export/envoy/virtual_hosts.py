"""The hosts that Envoy tells apart: it takes the host before the path, so each has the routes for any host, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meristem.gateway.export.envoy.header_matchers import PATH, REST, path_part, pattern, text
from meristem.gateway.export.envoy.moved_routes import to_tls
from meristem.gateway.export.envoy.native_routes import NativePlace, native_routes
from meristem.gateway.policy.edge_hosts import PROBE
from meristem.gateway.policy.host_names import covers
from meristem.gateway.policy.route_table import GatewayRouteTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.route_choice import RouteMatch

ANY_HOST: Final = "*"
ANYWHERE: Final[Part] = {"prefix": "/"}
ELSE: Final = "else"  # the route of what no other fits
SEGMENT: Final = "[^/]+"


def virtual_hosts(policy: ExportedPolicy) -> Iterator[Part]:
    """One for each host or end of a host that the policy names, and one for all others."""
    named = [*policy.table.hosts, *(each.host for each in policy.matches if each.host is not None)]
    for host in (*dict.fromkeys(each.lower() for each in named), ANY_HOST):
        yield {"name": host, "domains": [host], "routes": [*_routes(policy, host)]}


def _routes(policy: ExportedPolicy, host: str) -> Iterator[Part]:
    table = policy.table
    but_probe = {"prefix": "/", "headers": [pattern(":path", _probe()) | {"invert_match": True}]}
    if table.hosts and not any(covers(each, host) for each in table.hosts):
        detail = {"status": 421, "body": {"inline_string": "this host is not served here"}}
        yield {"name": "other hosts", "match": but_probe, "direct_response": detail}
    if table.https:
        plain = text("x-forwarded-proto", exact="https") | {"invert_match": True}
        match = {"prefix": "/", "headers": [*but_probe["headers"], plain]}
        yield {"name": "without TLS", "match": match, **to_tls()}
    matches = [each for each in policy.matches if each.host is None or covers(each.host, host)]
    yield from _in_order(policy, matches)
    yield from native_routes(table, ELSE, GatewayRouteTable(), NativePlace(ANYWHERE))


def _in_order(policy: ExportedPolicy, matches: Sequence[RouteMatch]) -> Iterator[Part]:
    table = policy.table
    for at, each in enumerate(matches):
        if each.route is not None:
            yield from native_routes(table, each.route, table.routes[each.route], place_of(each))
        elif any(
            could_both_fit(each.path, other.path) for other in matches[at:] if other.kind == "rest" and other.route
        ):
            # An operation that is on no route here: those of further paths of REST are not asked, the others are.
            here = place_of(each).so
            for other in matches:
                if other.kind in ("whole", "below") and other.route is not None:
                    place = place_of(other)
                    yield from native_routes(
                        table, other.route, table.routes[other.route], place._replace(so=(*here, *place.so))
                    )
            yield from native_routes(table, ELSE, GatewayRouteTable(), NativePlace(ANYWHERE, here))


def place_of(match: RouteMatch) -> NativePlace:
    """Where a match is."""
    if match.kind == "call":
        return NativePlace({"path": match.path}, (), match.methods, is_operation=True)
    if match.kind == "rest":
        return NativePlace(ANYWHERE, (pattern(REST, f"{path_part(match.path)}/?"),), match.methods, is_operation=True)
    path = path_part(match.path)
    if match.kind == "whole":
        return NativePlace(ANYWHERE, (text(PATH, exact=path),), match.methods)
    return NativePlace(ANYWHERE, () if path == "/" else (text(PATH, prefix=path),), match.methods)


def could_both_fit(one: str, other: str) -> bool:
    """Whether a path may be there that two patterns of REST fit; at times that is said of two that share none."""
    here, there = (each.replace(SEGMENT, "\0").split("/") for each in (one, other))
    return len(here) == len(there) and all(
        mine == theirs or "\0" in mine + theirs for mine, theirs in zip(here, there, strict=True)
    )


def _probe() -> str:
    return re.escape(PROBE.decode()) + r"(?:\?.*)?"
