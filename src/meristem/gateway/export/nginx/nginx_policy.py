"""The policy as the Lua files for nginx read it: what can be worked out once is worked out here."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from meristem.config.setting_sources import variable
from meristem.gateway.export.exported_policy import routes_of
from meristem.gateway.export.lua_table import lua_text
from meristem.gateway.policy.cors import ANSWERED_HERE, origin_pattern
from meristem.gateway.policy.requesters import asks_who, is_personal, kinds_of
from meristem.quantities import bytes_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.firewall_table import BanTable, FirewallRule
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.header_table import CorsTable
    from meristem.gateway.policy.identity_tables import IssuerTable
    from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable
    from meristem.gateway.policy.route_choice import RouteMatch
    from meristem.gateway.policy.route_table import GatewayRouteTable, RedirectTable

UNIX: Final = "unix"
DISCOVERY: Final = "/.well-known/openid-configuration"


def policy_text(policy: ExportedPolicy, terms: Mapping[str, tuple[str, str]]) -> str:
    """A policy as the module of Lua that has it.

    `terms` are by route the locations by which its requests go on, and those by which none is sent twice.
    """
    table = policy.table
    found = {
        "hosts": [each.lower() for each in table.hosts],
        "https": table.https,
        "proxies": _networks(each for each in policy.trusted_proxies if each != UNIX),
        "matches": _matches(policy.matches),
        "routes": {name: _route(table, each) | _going_on(terms[name]) for name, each in routes_of(table).items()},
        "rules": [_rule(name, each) for name, each in zip(table.firewall.names(), table.firewall.rules, strict=True)],
        "trusted": _networks(table.firewall.trusted),
        "limits": {name: _limit(name, each) for name, each in table.limits.items()},
        "crowds": {name: _crowd(name, each) for name, each in table.concurrency.items()},
        "issuers": {name: _issuer(policy.system, name, each) for name, each in table.issuers.items()},
    }
    if table.firewall.ban is not None:
        found["ban"] = _ban(table.firewall.ban)
    if table.keys is not None:
        found["keys"] = str(Path(policy.keys_file).absolute())
    return f"return {lua_text(found)}\n"


def secret_variables(policy: ExportedPolicy) -> list[str]:
    """The variables that hold the secrets of issuers, or the names of files with them."""
    shared = [name for name, each in policy.table.issuers.items() if each.is_symmetric]
    return [f"{_secret(policy.system, name)}{end}" for name in shared for end in ("", "_FILE")]


def asked_url(issuer: IssuerTable) -> str:
    """Where the keys of an issuer are, or where it says that; empty for one that shares a secret."""
    return "" if issuer.is_symmetric else issuer.jwks or issuer.issuer.rstrip("/") + DISCOVERY


def _secret(system: str, issuer: str) -> str:
    return variable(system, f"gateway_{issuer}", "secret")


def _going_on(locations: tuple[str, str]) -> dict[str, str]:
    location, once = locations
    return {"location": location, "once": once}


def _matches(matches: Iterable[RouteMatch]) -> dict[str, Any]:
    """By kind: to the letter by path, the others in their order; those of one path together."""
    calls: dict[str, list[Any]] = {}
    whole: dict[str, list[Any]] = {}
    below: dict[str, list[Any]] = {}
    rest: list[Any] = []
    for each in matches:
        told: dict[str, Any] = {"route": each.route} if each.route is not None else {}
        if each.host is not None:
            told["host"] = each.host
        if each.methods is not None:
            told["methods"] = dict.fromkeys(sorted(each.methods), True)
        if each.kind == "rest":
            rest.append({"pattern": rf"\A(?:{each.path})\z", **told})
        else:
            {"call": calls, "whole": whole, "below": below}[each.kind].setdefault(each.path, []).append(told)
    return {
        "calls": calls,
        "rest": rest,
        "whole": whole,
        "below": [{"path": path, "fits": fits} for path, fits in below.items()],
    }


def _route(table: GatewayTable, route: GatewayRouteTable) -> dict[str, Any]:
    cors = route.cors or table.cors
    found: dict[str, Any] = {
        "early": [name for name in route.limits if not asks_who(table.limits[name].by)],
        "late": [name for name in route.limits if asks_who(table.limits[name].by)],
        "crowds": list(route.concurrency),
        "answers": _answers(table, route, has_cors=cors is not None),
        "requests": _requests(table, route),
    }
    if route.redirection is not None:
        found["redirect"] = _redirect(route.redirection)
    if cors is not None:
        found["cors"] = _cors(cors)
    if (most := route.body_bytes or table.body_bytes) is not None:
        found["body"] = most
    if route.require is not None:
        found["require"] = {
            "kind": route.require,
            "roles": list(route.roles),
            "scopes": list(route.scopes),
            # Sessions are the edge's: who shows nothing may have one.
            "sessions": table.sign_in is not None and "user" in route.require,
        }
    return found


def _redirect(table: RedirectTable) -> dict[str, Any]:
    to = table.to.rstrip("/") if table.keep_path else table.to
    return {"to": to, "status": table.status, "path": table.keep_path, "query": table.keep_query}


def _cors(table: CorsTable) -> dict[str, Any]:
    below = "|".join(origin_pattern(each) for each in table.origins if "*." in each)
    return {
        "any": "*" in table.origins,
        "origins": dict.fromkeys(table.origins, True),
        "below": rf"\A(?:{below})\z" if below else "",
        "methods": dict.fromkeys(table.methods, True),
        "headers": dict.fromkeys(table.headers, True),
        "credentials": table.credentials,
        "expose": ", ".join(table.expose),
        "granted": {
            "methods": ", ".join(sorted({*table.methods})),
            "headers": ", ".join(sorted({*table.headers})),
            "max_age": str(int(seconds_of(table.max_age))),
        },
    }


def _answers(table: GatewayTable, route: GatewayRouteTable, *, has_cors: bool) -> dict[str, Any]:
    rules = table.headers.with_own(route.headers)
    # Those of other origins last: only a part behind loses them, and what the gateway itself says of them stays.
    gone = {*rules.remove, *rules.set} | (ANSWERED_HERE if has_cors else set())
    defaults = {
        kind: {name.decode(): value.decode() for name, value in table.headers.security.fields(https=https)}
        for kind, https in (("http", False), ("https", True))
    }
    return {
        "set": _in_turn(rules.set),
        "gone": sorted(gone),
        **{kind: _in_turn({name: each[name] for name in each if name not in gone}) for kind, each in defaults.items()},
    }


def _requests(table: GatewayTable, route: GatewayRouteTable) -> dict[str, Any]:
    rules = table.request_headers.with_own(route.request_headers)
    gone = sorted(each.replace("_", "-") for each in (*rules.remove, *rules.set))
    return {"set": _in_turn(rules.set), "gone": dict.fromkeys(gone, True)}


def _in_turn(fields: Mapping[str, str]) -> list[str]:
    """Names and values in turn: LuaJIT compiles no loop over a table without an order."""
    return [text for field in sorted(fields.items()) for text in field]


def _rule(name: str, rule: FirewallRule) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "allow": rule.action == "allow",
        "status": rule.status,
        "dry": rule.dry_run,
        "headers": [_condition(each) for each in rule.headers],
    }
    if rule.methods:
        found["methods"] = dict.fromkeys(rule.methods, True)
    if rule.paths:
        found["whole"] = {each.rstrip("/"): True for each in rule.paths if not each.endswith("*")}
        found["below"] = [each[:-1] for each in rule.paths if each.endswith("*")]
    if rule.addresses:
        found["addresses"] = _networks(rule.addresses)
    if rule.addresses_file is not None:
        found["file"] = str(Path(rule.addresses_file).absolute())
    for key, size in (("head", rule.head_above), ("query", rule.query_above), ("body", rule.body_above)):
        if size is not None:
            found[key] = bytes_of(size)
    return found


def _condition(each: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": each.name}
    if each.present is not None:
        found["present"] = each.present
    if each.equals is not None:
        found["equals"] = each.equals
    if each.matches is not None:
        found["parts"] = each.matches.lower().split("*")
    return found


def _ban(table: BanTable) -> dict[str, Any]:
    return {
        "violations": table.violations,
        "within": seconds_of(table.within),
        "lasts": seconds_of(table.lasts),
        "counts": dict.fromkeys(table.counts, True),
        "cut": table.answer == "cut",
        "dry": table.dry_run,
    }


def _networks(entries: Iterable[str]) -> list[str]:
    """Addresses and networks as text that nginx and Lua read alike."""
    return [str(ip_network(each)) for each in entries]


def _limit(name: str, table: RateLimitTable) -> dict[str, Any]:
    interval = 1.0 / table.per_second
    found: dict[str, Any] = {
        **_counted(name, table),
        "interval": interval,
        "tolerance": table.burst * interval,
        "waiting": table.waiting,
        "policy": f'"{name}";q={table.burst + 1};w={table.window}',
    }
    if table.delay is not False:
        found["free"] = table.undelayed * interval
    return found


def _crowd(name: str, table: ConcurrencyTable) -> dict[str, Any]:
    return {**_counted(name, table), "requests": table.requests}


def _counted(name: str, table: RateLimitTable | ConcurrencyTable) -> dict[str, Any]:
    return {
        "name": name,
        "by": list(kinds_of(table.by)),
        "status": table.status,
        "dry": table.dry_run,
        "personal": is_personal(table.by),
    }


def _issuer(system: str, name: str, table: IssuerTable) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "issuer": table.issuer,
        "audiences": dict.fromkeys(table.audiences, True),
        "algorithms": dict.fromkeys(table.algorithms, True),
        "leeway": seconds_of(table.leeway),
        "claims": msgspec.to_builtins(table.claims),
        "prefix": table.subject_prefix,
    }
    if table.is_symmetric:
        found["secret"] = _secret(system, name)
        return found
    url = urlsplit(asked_url(table))
    found["origin"] = f"{url.scheme}://{url.netloc}"
    found["path"] = (url.path or "/") + (f"?{url.query}" if url.query else "")
    found["discovers"] = not table.jwks
    return found
