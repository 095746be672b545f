"""The routes of a table, told in order for another proxy: whoever takes the first that fits is where the edge is."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from meristem.errors import ConfigurationError
from meristem.gateway.export.exported_policy import matches_of
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.host_names import HostPatterns
from meristem.gateway.policy.part_paths import OperationPath, PartPaths
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.route_table import GatewayRouteTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.gateway.policy.route_choice import RouteMatch

PARTS = PartPaths(
    {"web": "/shop"},
    {
        "shop.v1.Payments.charge": OperationPath("/shop.v1.Payments/Charge", "POST", "/payments/{id}"),
        "shop.v1.Payments.seen": OperationPath("/shop.v1.Payments/Seen", "GET", "/payments/{id}"),
        "shop.v1.Payments.paper": OperationPath("/shop.v1.Payments/Paper", "GET", "/payments/{id}.pdf"),
        "shop.v1.Payments.hidden": OperationPath("/shop.v1.Payments/Hidden"),
        "shop.v1.Payments.all": OperationPath("/shop.v1.Payments/All", "GET", "/payments/all"),
        "shop.v1.Rooms.free": OperationPath("/shop.v1.Rooms/Free", "GET", "/rooms"),
    },
)
PATHS = (
    *("/", "/api", "/api/", "/apis", "/api/one", "/api/one/", "/api/payments/7", "/api/payments/7.pdf", "/shop"),
    *("/api/payments/all", "/api/payments/all/", "/api/payments/", "/api/rooms", "/api/rooms/", "/shop/", "/shopping"),
    *("/shop.v1.Payments/Charge", "/shop.v1.Payments/Charge/", "/shop.v1.Payments/Hidden", "/shop/x/y", "/img1", "*"),
)
HOSTS = ("shop.example", "a.shop.example", "b.a.shop.example", "other.example", "")
METHODS = ("GET", "HEAD", "POST", "PUT")


def first(matches: Sequence[RouteMatch], path: str, host: str, method: str) -> str:
    """What is on a route, for somebody who knows no more than the matches."""
    closed, asks_rest = path if path.endswith("/") else path + "/", True
    for each in matches:
        fits = {
            "call": path == each.path,
            "rest": asks_rest and re.fullmatch(each.path, path.removesuffix("/")) is not None,
            "whole": closed == each.path,
            "below": each.path == "/" or closed.startswith(each.path),
        }[each.kind]
        if not fits:
            continue
        if each.kind == "rest" and each.route is None:
            asks_rest = False
            continue
        at_host = each.host is None or HostPatterns((each.host,)).fit(host)
        if at_host and (each.methods is None or method in each.methods):
            assert each.route is not None
            return each.route
    return "*"


def some_route(chance: random.Random) -> GatewayRouteTable:
    hosts = chance.choice([(), (), ("shop.example",), ("*.shop.example",), ("*.a.shop.example", "other.example")])
    methods = chance.choice([(), (), ("GET",), ("POST", "PUT")])
    if (kind := chance.random()) < 0.4:
        named = chance.choice(["Payments/*", "Rooms/*", *(name.removeprefix("shop.v1.") for name in PARTS.operations)])
        return GatewayRouteTable(operations=("shop.v1." + named,), hosts=hosts, methods=methods)
    if kind < 0.5:
        return GatewayRouteTable(app="web", hosts=hosts, methods=methods)
    path = chance.choice(["/*", "/api/*", "/api*", "/api/one", "/api/payments/*", "/shop/x/*", "/img*", "/api/rooms"])
    return GatewayRouteTable(path=path, hosts=hosts, methods=methods)


def test_the_first_that_fits_is_the_route_of_the_edge():
    chance, told = random.Random(11), 0
    while told < 300:  # tables; those that say two things of one request are none
        routes = {f"r{number}": some_route(chance) for number in range(chance.randint(1, 8))}
        try:
            choice = RouteChoice(routes, {name: name for name in routes}, "*", PARTS)
        except ConfigurationError:
            continue
        told += 1
        matches = [*choice.in_order()]
        for path in PATHS:
            for host, method in ((chance.choice(HOSTS), chance.choice(METHODS)) for _ in range(6)):
                found = choice.find(path.encode(), path.encode(), host, method)
                assert first(matches, path, host, method) == found, (routes, path, host, method)


def test_those_of_a_table_are_told_by_its_parts():
    table = GatewayTable(routes={"all": GatewayRouteTable(path="/*"), "pay": GatewayRouteTable(app="web")})
    assert [(each.kind, each.path, each.route) for each in matches_of(table, PARTS)] == [
        ("below", "/shop/", "pay"),
        ("below", "/", "all"),
    ]
