"""Requests find the same route among those of Envoy, host first and then in order, as at the edge."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

from meristem.errors import ConfigurationError
from meristem.gateway.export.envoy.header_matchers import PATH, REST
from meristem.gateway.export.envoy.virtual_hosts import could_both_fit, virtual_hosts
from meristem.gateway.export.exported_policy import ExportedPolicy, HostPort, matches_of
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.header_table import CorsTable
from meristem.gateway.policy.route_choice import RouteChoice
from tests.unit.gateway.export.test_exported_routes import HOSTS, METHODS, PARTS, PATHS, some_route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ORIGIN = "https://shop.example"


def some_policy(chance: random.Random, **table: Any) -> tuple[ExportedPolicy, RouteChoice[str]]:
    while True:
        routes = {f"r{number}": some_route(chance) for number in range(chance.randint(1, 8))}
        try:
            told = GatewayTable(routes=routes, **table)
            choice = RouteChoice(told.routes, {name: name for name in routes}, "else", PARTS)
        except ConfigurationError:  # two for the same
            continue
        at = HostPort("127.0.0.1", 80)
        return ExportedPolicy("shop", told, matches_of(told, PARTS), (at,), at), choice


def routes_at(hosts: Iterable[Mapping[str, Any]], host: str) -> Sequence[Mapping[str, Any]]:
    """The routes of the host that Envoy takes: itself, else the longest end of it, else any."""
    by_domain = {each["domains"][0]: each["routes"] for each in hosts}
    ends = sorted((each for each in by_domain if each.startswith("*.")), key=len, reverse=True)
    end = next((each for each in ends if host.endswith(each[1:]) and len(host) > len(each) - 1), "*")
    found: Sequence[Mapping[str, Any]] = by_domain.get(host, by_domain[end])
    return found


def fits(match: Mapping[str, Any], path: str, fields: Mapping[str, str]) -> bool:
    if "path" in match and match["path"] != path:
        return False
    return all(_is_so(each, fields.get(each["name"])) for each in match["headers"])


def _is_so(asked: Mapping[str, Any], value: str | None) -> bool:
    if "present_match" in asked:
        return (value is not None) is asked["present_match"]
    if value is None:
        if not asked.get("treat_missing_header_as_empty"):
            return False
        value = ""
    said = asked["string_match"]
    if "safe_regex" in said:
        return re.fullmatch(said["safe_regex"]["regex"], value) is not None
    return value == said["exact"] if "exact" in said else value.startswith(said["prefix"])


def found(policy: ExportedPolicy, path: str, host: str, **fields: str) -> str:
    """The name of the first route of Envoy that fits."""
    closed = path if path.endswith("/") else path + "/"
    told = {PATH: closed, REST: path, **{name.replace("_", "-"): value for name, value in fields.items()}}
    told[":method"] = told.pop("method")
    routes = routes_at(virtual_hosts(policy), host)
    name: str = next(each["name"] for each in routes if fits(each["match"], path, told))
    return name


def test_each_request_is_on_the_route_of_the_edge():
    chance = random.Random(23)
    for _ in range(80):
        policy, choice = some_policy(chance)
        for path in PATHS[:-1]:
            for host, method in ((chance.choice(HOSTS[:-1]), chance.choice(METHODS)) for _ in range(3)):
                on = choice.find(path.encode(), path.encode(), host, method)
                assert found(policy, path, host, method=method) == on, (policy.table.routes, path, host, method)


def test_preflights_are_on_the_route_of_what_they_ask_for():
    chance = random.Random(29)
    cors = CorsTable((ORIGIN,), methods=("GET", "POST", "PUT", "HEAD"))
    for _ in range(20):
        policy, choice = some_policy(chance, cors=cors)
        for path in PATHS[:-1]:
            host, asked = chance.choice(HOSTS[:-1]), chance.choice(METHODS)
            on = choice.find(path.encode(), path.encode(), host, asked)
            fields = {"origin": ORIGIN, "access_control_request_method": asked, "method": "OPTIONS"}
            assert found(policy, path, host, **fields) == f"{on}: preflight", (policy.table.routes, path, host, asked)
            assert found(policy, path, host, **{**fields, "origin": "https://evil.example"}) == f"{on}: no preflight"


def test_patterns_that_share_a_path_are_known():
    assert could_both_fit("/rooms/free", "/rooms/[^/]+")
    assert could_both_fit("/rooms/[^/]+\\.pdf", "/rooms/[^/]+")
    assert not could_both_fit("/rooms/free", "/rooms/full")
    assert not could_both_fit("/rooms/[^/]+", "/rooms/[^/]+/beds")
