"""The manifests of a policy: within what the Gateway API lets an object be, and doing what the edge does."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meristem.errors import ConfigurationError
from meristem.gateway.export.exported_policy import ClusterNames, ExportedPolicy, HostPort, matches_of
from meristem.gateway.export.kubernetes.route_filters import duration
from meristem.gateway.export.targets.known_targets import exported
from meristem.gateway.policy.firewall_table import BanTable, FirewallTable
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.header_table import AnswerHeaderTable, CorsTable, HeaderTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.route_table import GatewayRouteTable, RedirectTable
from meristem.gateway.policy.tls_table import AcmeTable, TlsTable
from tests.unit.gateway.export.test_exported_routes import HOSTS, PARTS
from tests.unit.gateway.export.test_gateway_api_routes import found, policy_of, route_of, some_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

Manifest = dict[str, Any]
IN_PATHS = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
FIELD_OF = {
    "RequestRedirect": "requestRedirect",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "CORS": "cors",
}


def asked(table: GatewayTable, *, tls: bool = False) -> ExportedPolicy:
    return ExportedPolicy(
        system="shop",
        table=table,
        matches=matches_of(table, PARTS),
        upstreams=(HostPort("shop", 8000), HostPort("shop-b", 8000)),
        http=HostPort("0.0.0.0", 80),
        https=HostPort("0.0.0.0", 443) if tls else None,
        cluster=ClusterNames("any", tls_secret="shop-tls" if tls else None),
    )


def manifests(policy: ExportedPolicy, *, approximate: bool = False) -> list[Manifest]:
    files = exported("gateway-api", policy, approximate=approximate).files
    return [each for text in files.values() for each in yaml.safe_load_all(text)]


def routes_of(policy: ExportedPolicy, *, approximate: bool = False) -> list[Manifest]:
    return [each for each in manifests(policy, approximate=approximate) if each["kind"] == "HTTPRoute"]


def shortfalls(table: GatewayTable) -> list[str]:
    return [each.where for each in exported("gateway-api", asked(table), approximate=True).shortfalls]


def problems(manifest: Manifest) -> Iterator[str]:
    """What a cluster refuses beside wrong types: the sizes of lists, and the rules that the definitions have in CEL."""
    spec = manifest["spec"]
    if manifest["kind"] == "Gateway":
        listeners = spec["listeners"]
        for key in ("name", "port"):
            if len({each[key] for each in listeners}) != len(listeners):
                yield f"two listeners of one {key}"
        if any(("tls" in each) != (each["protocol"] == "HTTPS") for each in listeners):
            yield "tls is for HTTPS"
        return
    rules = spec["rules"]
    if not 1 <= len(rules) <= 16 or len(spec.get("hostnames", ())) > 16:
        yield "16 rules and hosts at most"
    if sum(len(each["matches"]) for each in rules) > 128:
        yield "128 matches at most"
    if len({each["name"] for each in rules}) != len(rules):
        yield "two rules of one name"
    for rule in rules:
        yield from rule_problems(rule)


def rule_problems(rule: Manifest) -> Iterator[str]:
    if not 1 <= len(rule["matches"]) <= 64:
        yield "64 matches at most"
    for match in rule["matches"]:
        yield from path_problems(**match["path"])
    filters = rule.get("filters", ())
    if len({each["type"] for each in filters}) != len(filters):
        yield "a filter is there twice"
    for each in filters:
        if {*each} != {"type", FIELD_OF[each["type"]]}:
            yield f"a filter with the fields of another: {each}"
        if any(len(names) > 16 for names in each.get("responseHeaderModifier", {}).values()):
            yield "16 fields at most"
    redirect = next((each["requestRedirect"] for each in filters if "requestRedirect" in each), None)
    if (redirect is None) != ("backendRefs" in rule):
        yield "either a redirect or a Service"
    if (redirect or {}).get("path", {}).get("type") == "ReplacePrefixMatch":
        kinds = [each["path"]["type"] for each in rule["matches"]]
        if kinds != ["PathPrefix"]:
            yield f"a prefix is replaced of {kinds}"


def path_problems(type: str, value: str) -> Iterator[str]:  # noqa: A002 - as the manifest calls it
    if len(value) > 1024:
        yield "a path of 1024 characters at most"
    if type == "RegularExpression":
        re.compile(value)
        return
    bad = [each for each in ("//", "/./", "/../", "%2f", "%2F", "#") if each in value]
    if not value.startswith("/") or bad or value.endswith(("/..", "/.")) or IN_PATHS.fullmatch(value) is None:
        yield f"the path {value!r}"


def test_objects_stay_within_what_a_cluster_takes():
    chance = random.Random(23)
    for at in range(100):
        policy, _ = some_policy(chance, by_segments=at % 2 == 0, cors=CorsTable(("*",)) if at % 3 else None)
        for each in manifests(asked(policy.table), approximate=True):
            assert not [*problems(each)], each


def test_large_tables_are_divided_and_each_request_still_has_one_rule():
    routes = {f"r{number}": GatewayRouteTable(path=f"/part{number}/*") for number in range(40)}
    routes |= {f"m{number}": GatewayRouteTable(path=f"/p{number}", methods=("GET", "PUT")) for number in range(60)}
    routes["all"] = GatewayRouteTable(operations=("shop.v1.Rooms/*",), hosts=tuple(f"h{n}.example" for n in range(40)))
    policy = policy_of(routes, cors=CorsTable(("*",)))
    told = routes_of(policy)
    assert len(told) > 10
    for each in told:
        assert not [*problems(each)]
    choice = RouteChoice(policy.table.routes, {name: name for name in routes}, "*", PARTS)
    for path in ("/part7/x", "/part39", "/p1", "/p59/", "/api/rooms", "/none"):
        for host, method in (("h0.example", "GET"), ("h39.example", "POST"), ("other.example", "PUT")):
            on = choice.find(path.encode(), path.encode(), host, method)
            assert route_of(found(told, path, host, method)) == on


def location(rule: Manifest, path: str) -> str:
    """Where a rule sends a request for a path at `http://shop.example`, by the words of the specification."""
    redirect = next(each["requestRedirect"] for each in rule["filters"] if each["type"] == "RequestRedirect")
    change = redirect.get("path", {"type": "None"})
    if change["type"] == "ReplaceFullPath":
        path = change["replaceFullPath"]
    elif change["type"] == "ReplacePrefixMatch":
        (match,) = rule["matches"]
        rest = path.removeprefix(match["path"]["value"].rstrip("/")).lstrip("/")
        before = change["replacePrefixMatch"].rstrip("/")
        path = f"{before}/{rest}" if rest or (path.endswith("/") and match["path"]["value"] != "/") else before or "/"
    scheme = redirect.get("scheme", "http")
    port = f":{redirect['port']}" if "port" in redirect else ""
    return f"{scheme}://{redirect.get('hostname', 'shop.example')}{port}{path}"


@pytest.mark.parametrize(
    ("redirect", "at", "sent"),
    [
        ("https://www.shop.example", "/*", {"/": "/", "/a/b": "/a/b", "/a/": "/a/"}),
        ("https://www.shop.example:8443", "/old/*", {"/old": "/old", "/old/x": "/old/x"}),
        ("https://www.shop.example/new", "/*", {"/": "/new/", "/a": "/new/a", "/a/b/": "/new/a/b/"}),
        ("https://www.shop.example/new/", "/old/*", {"/old": "/new/old", "/old/": "/new/old/", "/old/x": "/new/old/x"}),
        ("https://www.shop.example/new", "/old", {"/old": "/new/old", "/old/": "/new/old/"}),
        (
            RedirectTable("https://www.shop.example/news", 302, keep_path=False),
            "/a/*",
            {"/a": "/news", "/a/b": "/news"},
        ),
        (RedirectTable("/news", keep_path=False), "/a/*", {"/a/b": "/news"}),
    ],
)
def test_redirects_lead_where_the_edge_sends(redirect, at, sent):
    route = GatewayRouteTable(path=at, redirect=redirect)
    told = routes_of(asked(GatewayTable(routes={"old": route})))
    table = route.redirection
    assert table is not None
    base = re.match(r"(https?://[^/]+)?", table.to)[0] or "http://shop.example"
    for path, target in sent.items():
        rule = found(told, path, "shop.example", "GET")
        assert location(rule, path) == base + target
        assert rule["filters"][0]["requestRedirect"]["statusCode"] == table.status
        # What the edge says on its answers nobody else does.
        fields = {each["name"] for each in rule["filters"][1]["responseHeaderModifier"]["set"]}
        assert "x-content-type-options" in fields
    assert not [problem for each in told for problem in problems(each)]


def test_the_slash_that_a_redirect_tells_by_itself_takes_no_request_of_another_route():
    routes = {
        "old": GatewayRouteTable(redirect="https://www.shop.example/new"),
        "home": GatewayRouteTable(path="/"),
        "posts": GatewayRouteTable(methods=("POST",)),
    }
    told = routes_of(asked(GatewayTable(routes=routes)))
    assert found(told, "/", "any", "GET")["name"] == found(told, "/", "any", "POST")["name"] == "home"
    del routes["home"]
    told = routes_of(asked(GatewayTable(routes=routes)))
    assert found(told, "/", "any", "POST")["name"] == "posts"
    assert location(found(told, "/", "any", "GET"), "/") == "https://www.shop.example/new/"


def test_what_a_route_removes_no_redirect_of_it_says():
    headers = HeaderTable(remove=("x-frame-options",))
    routes = {"old": GatewayRouteTable(redirect="https://www.shop.example", headers=headers)}
    rule = found(routes_of(asked(GatewayTable(routes=routes))), "/", "any", "GET")
    told = rule["filters"][1]["responseHeaderModifier"]
    assert "x-frame-options" in told["remove"]
    assert "x-frame-options" not in {each["name"] for each in told["set"]}


def test_a_preflight_is_not_on_the_route_that_has_options_where_another_answers_it():
    cors = CorsTable(("https://shop.example",))
    routes = {
        "all": GatewayRouteTable(path="/a/*", cors=cors),
        "options": GatewayRouteTable(path="/a/b/*", methods=("OPTIONS",)),
    }
    told = routes_of(asked(GatewayTable(routes=routes)))
    assert found(told, "/a/b/c", "any", "OPTIONS")["name"] == "options"
    assert found(told, "/a/b/c", "any", "OPTIONS", "GET")["name"] == "all"


def test_what_comes_without_tls_is_sent_to_it_except_of_who_probes():
    table = GatewayTable(hosts=("shop.example", "*.shop.example"), https=True)
    routes = routes_of(asked(table, tls=True))
    (moving,) = [each for each in routes if each["spec"]["parentRefs"][0].get("sectionName") == "http"]
    rule = found([moving], "/a", "a.shop.example", "GET")
    assert location(rule, "/a") == "https://shop.example/a"
    assert rule["filters"][0]["requestRedirect"]["statusCode"] == 308
    assert "backendRefs" in found([moving], "/health", "shop.example", "GET")
    secure = [each for each in routes if each["spec"]["parentRefs"][0].get("sectionName") != "http"]
    assert found(secure, "/a", "shop.example", "GET")["backendRefs"][0] == {"name": "shop", "port": 8000}


def test_proofs_for_an_authority_come_to_the_edge_behind_whatever_else_is_said():
    tls = TlsTable(acme=AcmeTable("https://acme.example/directory", agree_to_terms=True))
    moved = GatewayRouteTable(redirect="https://new.example")
    routes = routes_of(asked(GatewayTable(hosts=("shop.example",), https=True, tls=tls, routes={"a": moved}), tls=True))
    for listener in ("http", "https"):
        at = [each for each in routes if each["spec"]["parentRefs"][0].get("sectionName") == listener]
        for method in ("GET", "HEAD"):
            rule = found(at, "/.well-known/acme-challenge/x", "shop.example", method)
            assert "backendRefs" in rule
            assert "filters" not in rule
        assert "filters" in found(at, "/.well-known/acme-challenge/x", "shop.example", "POST")


def test_pages_of_other_origins_may_follow_a_redirect_of_the_gateway():
    cors = CorsTable(origins=("https://shop.example",))
    moved = GatewayRouteTable(path="/old", redirect="https://new.example")
    (told,) = routes_of(asked(GatewayTable(cors=cors, routes={"old": moved})))
    rule = found([told], "/old", "shop.example", "GET")
    assert {each["type"] for each in rule["filters"]} >= {"RequestRedirect", "CORS"}


def test_rules_are_called_as_their_routes():
    routes = {"a_": GatewayRouteTable(path="/a/*"), "a-b": GatewayRouteTable(path="/b"), "a_b": GatewayRouteTable("/c")}
    (told,) = routes_of(asked(GatewayTable(routes=routes)))
    assert [each["name"] for each in told["spec"]["rules"]] == ["a-b", "a-b.2", "a", "rest"]


def test_without_a_certificate_the_edge_behind_sends_to_tls():
    assert shortfalls(GatewayTable(https=True)) == ["[gateway] https"]
    (route,) = routes_of(asked(GatewayTable(https=True)), approximate=True)
    assert "sectionName" not in route["spec"]["parentRefs"][0]


def test_of_hosts_that_are_not_served_the_edge_behind_refuses_requests():
    table = GatewayTable(
        hosts=("shop.example",), routes={"old": GatewayRouteTable(redirect="https://new.example", hosts=("x.example",))}
    )
    routes = routes_of(asked(table))
    assert [each["spec"].get("hostnames") for each in routes] == [["shop.example"], None]
    for host in HOSTS[1:]:
        assert {*found(routes, "/", host, "GET")} == {"name", "matches", "backendRefs"}


def test_the_time_of_an_operation_is_told_and_that_of_an_app_left_to_the_edge():
    routes = {
        "pay": GatewayRouteTable(operations=("shop.v1.Payments.hidden",), timeout="90s"),
        "web": GatewayRouteTable(app="web", timeout="2s"),
    }
    table = GatewayTable(routes=routes)
    assert shortfalls(table) == ["[gateway.routes.web] timeout"]
    told = routes_of(asked(table), approximate=True)
    assert found(told, "/shop.v1.Payments/Hidden", "any", "POST")["timeouts"] == {"request": "1m30s"}
    assert "timeouts" not in found(told, "/shop", "any", "GET")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(2, "2s"), (0.5, "500ms"), (0.0004, "1ms"), (90, "1m30s"), (86400, "24h"), (5400.25, "1h30m250ms"), (0, "0s")],
)
def test_times_are_written_in_whole_numbers(seconds, told):
    assert duration(seconds) == told


def test_answers_are_given_and_lose_what_the_route_says_after_what_all_say():
    table = GatewayTable(
        headers=AnswerHeaderTable({"x-team": "shop", "x-all": "1"}, ("server",)),
        routes={"web": GatewayRouteTable(app="web", headers=HeaderTable({"server": "ours"}, ("x-team",)))},
    )
    told = routes_of(asked(table))
    web, rest = (found(told, path, "any", "GET")["filters"][0]["responseHeaderModifier"] for path in ("/shop", "/"))
    assert web == {"set": [{"name": "x-all", "value": "1"}, {"name": "server", "value": "ours"}], "remove": ["x-team"]}
    assert {each["name"] for each in rest["set"]} == {"x-team", "x-all"}
    assert rest["remove"] == ["server"]


def test_other_origins_are_told_as_the_table_has_them():
    cors = CorsTable(("https://*.shop.example",), ("GET", "HEAD", "POST", "PUT"), ("x-a",), credentials=True)
    told = routes_of(asked(GatewayTable(cors=cors)))
    assert found(told, "/", "any", "GET")["filters"][0]["cors"] == {
        "allowOrigins": ["https://*.shop.example"],
        "allowMethods": ["GET", "HEAD", "POST", "PUT"],
        "allowHeaders": ["x-a"],
        "allowCredentials": True,
        "maxAge": 600,
    }


@pytest.mark.parametrize(
    ("table", "where"),
    [
        (GatewayTable(routes={"a": GatewayRouteTable(require="anybody")}), "[gateway.routes.a] require"),
        (
            GatewayTable(limits={"v": RateLimitTable("1/s")}, routes={"a": GatewayRouteTable(limits=("v",))}),
            "[gateway.routes.a] limits",
        ),
        (GatewayTable(firewall=FirewallTable(ban=BanTable())), "[gateway] firewall"),
        (GatewayTable(body_bytes=10), "[gateway] body_bytes"),
        (GatewayTable(request_headers=HeaderTable(remove=("cookie",))), "[gateway] request_headers"),
        (GatewayTable(routes={"a": GatewayRouteTable(retries=1)}), "[gateway.routes.a] retries"),
        (GatewayTable(hosts=("10.0.0.1",)), "[gateway] hosts"),
        (GatewayTable(routes={"a": GatewayRouteTable(hosts=("a_b.example",))}), "[gateway.routes.a] hosts"),
        (GatewayTable(routes={"a": GatewayRouteTable(methods=("PROPFIND",))}), "[gateway.routes.a] methods"),
        (GatewayTable(routes={"a": GatewayRouteTable(path="/img*")}), "[gateway.routes.a] path"),
        (
            GatewayTable(routes={"a": GatewayRouteTable(operations=("shop.v1.Payments.seen",))}),
            "[gateway.routes.a] operations",
        ),
        (
            GatewayTable(
                routes={"a": GatewayRouteTable(redirect=RedirectTable("https://x.example", keep_query=False))}
            ),
            "[gateway.routes.a] redirect",
        ),
        (GatewayTable(routes={"a": GatewayRouteTable(redirect="https://[::1]/x")}), "[gateway.routes.a] redirect"),
        (GatewayTable(cors=CorsTable(("*",), ("GET",))), "[gateway] cors"),
        (GatewayTable(cors=CorsTable(("*",), headers=("*",))), "[gateway] cors"),
        (GatewayTable(headers=AnswerHeaderTable({"x-a": ""})), "[gateway] headers"),
    ],
)
def test_what_has_no_words_is_a_gap_that_is_refused_and_may_be_approximate(table, where):
    with pytest.raises(ConfigurationError, match=re.escape(where)):
        exported("gateway-api", asked(table))
    assert where in shortfalls(table)
    for each in manifests(asked(table), approximate=True):
        assert not [*problems(each)]


def test_paths_are_told_as_they_are_sent():
    table = GatewayTable(routes={"a": GatewayRouteTable(path="/süß/*")})
    told = routes_of(asked(table))
    assert {each["path"]["value"] for rule in told[0]["spec"]["rules"] for each in rule["matches"]} == {
        "/s%C3%BC%C3%9F",
        "/",
    }
