"""Requests find the same route by the Gateway API's precedence as at the edge: by hosts, then by what says most."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from meristem.errors import ConfigurationError
from meristem.gateway.export.exported_policy import ClusterNames, ExportedPolicy, HostPort, matches_of
from meristem.gateway.export.kubernetes.host_tables import is_by_segments
from meristem.gateway.export.kubernetes.manifests import Manifests
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.header_table import CorsTable, HeaderTable
from meristem.gateway.policy.host_names import HostPatterns
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.route_table import GatewayRouteTable
from tests.unit.gateway.export.test_exported_routes import HOSTS, METHODS, PARTS, PATHS, some_route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = ClusterNames("any")
Rule = dict[str, Any]


def policy_of(routes: Mapping[str, GatewayRouteTable], **table: Any) -> ExportedPolicy:
    """A policy whose routes put a field on answers, by which they are known again."""
    marked = {name: replace(each, headers=HeaderTable({"x-route": name})) for name, each in routes.items()}
    told = GatewayTable(routes=marked, **table)
    at = HostPort("0.0.0.0", 80)
    return ExportedPolicy("shop", told, matches_of(told, PARTS), (HostPort("shop", 8000),), at, cluster=NAMES)


def manifests_of(policy: ExportedPolicy) -> list[dict[str, Any]]:
    return [*Manifests(policy, NAMES).routes()]


def hosts_fit(route: Mapping[str, Any], host: str) -> tuple[int, int] | None:
    """How near a route's hosts are to one: by the characters of a name, then of a pattern; None where none fits."""
    names = route["spec"].get("hostnames", ())
    if not names:
        return 0, 0
    fitting = [each for each in names if HostPatterns((each,)).fit(host)]
    return max(((0 if each[0] == "*" else len(each), len(each)) for each in fitting), default=None)


def match_fits(match: Mapping[str, Any], path: str, method: str, asks: str | None) -> tuple[int, int, int, int] | None:
    """How much a match says of a request: its path, exact, else how long; its method, its fields; None if not."""
    kind, value = match["path"]["type"], match["path"]["value"]
    at_path = {
        "Exact": path == value,
        "PathPrefix": path == value or path.startswith(value.rstrip("/") + "/"),
        "RegularExpression": kind == "RegularExpression" and re.fullmatch(value, path) is not None,
    }[kind]
    fields = [each["value"] for each in match.get("headers", ())]
    if not at_path or match.get("method", method) != method or (fields and fields != [asks]):
        return None
    rank = {"Exact": 2, "RegularExpression": 1, "PathPrefix": 0}[kind]  # where the middle one is, nobody says
    return rank, len(value), "method" in match, len(fields)


def found(routes: Sequence[dict[str, Any]], path: str, host: str, method: str, asks: str | None = None) -> Rule:
    """The rule of a request, by the precedence that the specification of HTTPRoute gives."""
    near = [(fit, each) for each in routes if (fit := hosts_fit(each, host)) is not None]
    nearest = max(fit for fit, _ in near)
    rules = [rule for fit, each in near if fit == nearest for rule in each["spec"]["rules"]]
    fitting = [
        (fit, rule) for rule in rules for each in rule["matches"] if (fit := match_fits(each, path, method, asks))
    ]
    best = max(fit for fit, _ in fitting)
    first, *others = [rule for fit, rule in fitting if fit == best]
    assert not others, "which of two is older must not count"
    return first


def route_of(rule: Rule) -> str:
    told = [each["responseHeaderModifier"] for each in rule["filters"] if each["type"] == "ResponseHeaderModifier"]
    return next((each["value"] for each in told[0].get("set", ()) if each["name"] == "x-route"), "*")


def some_policy(chance: random.Random, *, by_segments: bool, **table: Any) -> tuple[ExportedPolicy, RouteChoice[str]]:
    while True:
        routes = {f"r{number}": some_route(chance) for number in range(chance.randint(1, 8))}
        try:
            policy = policy_of(routes, **table)
            choice = RouteChoice(policy.table.routes, {name: name for name in routes}, "*", PARTS)
        except ConfigurationError:  # two for the same
            continue
        if by_segments is all(is_by_segments(each) for each in policy.matches if each.route is not None):
            return policy, choice


@pytest.mark.parametrize("by_segments", [True, False])
def test_each_request_is_on_the_route_of_the_edge(by_segments):
    """With placeholders too, where regular expressions come between what is exact and beginnings."""
    chance = random.Random(17)
    for _ in range(150):
        policy, choice = some_policy(chance, by_segments=by_segments)
        routes = manifests_of(policy)
        unclear = [each for each in policy.matches if not is_by_segments(each)]
        placeholders = {f"{each.path}/?" for each in unclear if each.kind == "rest"}
        beginnings = tuple(each.path for each in unclear if each.kind == "below")
        for path in PATHS[:-1]:
            # Of two expressions none is first for everybody, and one goes before all beginnings.
            if path.startswith(beginnings) or sum(re.fullmatch(each, path) is not None for each in placeholders) > 1:
                continue
            for host, method in ((chance.choice(HOSTS[:-1]), chance.choice(METHODS)) for _ in range(4)):
                on = choice.find(path.encode(), path.encode(), host, method)
                assert route_of(found(routes, path, host, method)) == on, (policy.table.routes, path, host, method)


def test_preflights_are_on_the_route_of_what_they_ask_for_where_that_answers_them():
    chance = random.Random(19)
    cors = CorsTable(("https://shop.example",))
    for at in range(150):
        policy, choice = some_policy(chance, by_segments=True, cors=cors if at % 2 else None)
        if not at % 2:
            some = chance.choice([*policy.table.routes])
            policy = policy_of(policy.table.routes | {some: replace(policy.table.routes[some], cors=cors)})
        routes = manifests_of(policy)
        for path in PATHS[:-1]:
            host, asked = chance.choice(HOSTS[:-1]), chance.choice(METHODS)
            on = choice.find(path.encode(), path.encode(), host, asked)
            answers = policy.table.cors is not None or (on != "*" and policy.table.routes[on].cors is not None)
            if not answers:
                on = choice.find(path.encode(), path.encode(), host, "OPTIONS")
            assert route_of(found(routes, path, host, "OPTIONS", asked)) == on, (policy.table.routes, path, host, asked)


def test_what_holds_at_one_host_alone_holds_at_no_other_below_the_same_end():
    routes = {
        "one": GatewayRouteTable(path="/x/*", hosts=("any.shop.example",)),
        "all": GatewayRouteTable(path="/y/*", hosts=("*.shop.example",)),
    }
    told = manifests_of(policy_of(routes))
    assert route_of(found(told, "/x/1", "any.shop.example", "GET")) == "one"
    assert route_of(found(told, "/x/1", "other.shop.example", "GET")) == "*"
