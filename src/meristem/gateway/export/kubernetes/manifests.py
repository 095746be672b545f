"""A policy as objects of the Gateway API, within the sizes that an object may have."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from meristem.gateway.acme_challenges import WELL_KNOWN
from meristem.gateway.export.exported_policy import routes_of
from meristem.gateway.export.kubernetes.host_tables import (
    ROOT,
    UNSERVED,
    PathMatch,
    TableEntry,
    can_be_named,
    host_tables,
)
from meristem.gateway.export.kubernetes.route_filters import filters_of, needs_own_rule, timeouts_of
from meristem.gateway.policy.edge_hosts import HTTPS, PROBE
from meristem.gateway.policy.gatekeeper import ELSE
from meristem.gateway.policy.route_table import GatewayRouteTable, RedirectTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meristem.gateway.export.exported_policy import ClusterNames, ExportedPolicy

VERSION: Final = "gateway.networking.k8s.io/v1"
RULES: Final = 16
"""How many rules an HTTPRoute has at most, and how many hosts."""
MATCHES_OF_RULE: Final = 64
MATCHES: Final = 128
ASKED_METHOD: Final = "access-control-request-method"
SLASH: Final = PathMatch("Exact", "/")
REST: Final = "rest"
"""What the rule of all that is on no route is called."""
HTTP_LISTENER: Final = "http"
HTTPS_LISTENER: Final = "https"

Manifest = dict[str, Any]


class Manifests:
    """Makes the Gateway and the HTTPRoutes of a policy, for objects of a cluster that are called by `names`."""

    def __init__(self, policy: ExportedPolicy, names: ClusterNames) -> None:
        self._policy = policy
        self._table = policy.table
        self._names = names
        self._name = re.sub(r"[^a-z0-9]+", "-", policy.system.lower()).strip("-")
        self._backends = [{"name": each.host, "port": each.port} for each in policy.upstreams]
        self._routes = routes_of(policy.table)
        # What comes without TLS is sent to it here; else the edge behind does it, by what it is told of the connection.
        self._redirects = policy.table.https and policy.https is not None
        # The edge proves to an authority that a host is its own whatever else is said of such paths.
        proofs = PathMatch("PathPrefix", WELL_KNOWN.decode().rstrip("/"))
        has_proofs = policy.table.tls is not None and policy.table.tls.acme is not None
        self._proofs = [TableEntry(UNSERVED, proofs, each) for each in ("GET", "HEAD")] if has_proofs else []

    def gateway(self) -> Manifest:
        """Where to listen."""
        listeners: list[Manifest] = [
            {"name": HTTP_LISTENER, "protocol": "HTTP", "port": self._policy.http.port},
        ]
        if self._policy.https is not None:
            certificates = [{"kind": "Secret", "name": self._names.tls_secret}]
            listeners.append(
                {
                    "name": HTTPS_LISTENER,
                    "protocol": "HTTPS",
                    "port": self._policy.https.port,
                    "tls": {"mode": "Terminate", "certificateRefs": certificates},
                }
            )
        spec = {"gatewayClassName": self._names.gateway_class, "listeners": listeners}
        return self._object("Gateway", self._name, spec)

    def routes(self) -> Iterator[Manifest]:
        """What becomes of requests, by their hosts."""
        with_cors = frozenset(
            name for name, each in self._routes.items() if (each.cors or self._table.cors) is not None
        )
        number = 0
        for table in host_tables(self._policy.matches, self._table.hosts, with_cors):
            is_unserved = table.entries[0].route == UNSERVED
            listener = HTTPS_LISTENER if self._redirects and not is_unserved else None
            for hosts in _parts(table.hosts, RULES) if table.hosts else ((),):
                for rules in _fitting([*self._rules(table.entries)]):
                    number += 1
                    yield self._route(f"{self._name}-{number}", hosts, rules, listener)
        if self._redirects:
            yield from self._to_https()

    def _rules(self, entries: tuple[TableEntry, ...]) -> Iterator[Manifest]:
        """The rules of a table: one for each route, or more where it has many matches or does not do one thing."""
        there = {each.path for each in entries}
        entries = (*(each for each in self._proofs if each.path not in there), *self._with_slash(entries))
        for name in dict.fromkeys(each.route for each in entries):
            of_route = [each for each in entries if each.route == name]
            route = self._routes.get(name)
            size = 1 if route is not None and needs_own_rule(route) else MATCHES_OF_RULE
            called = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or REST
            for part in _parts(of_route, size):
                yield {"name": called, **self._rule(part, route)}

    def _with_slash(self, entries: tuple[TableEntry, ...]) -> tuple[TableEntry, ...]:
        """The same, with `/` told by itself where a redirect puts what is below it behind another path.

        In place of a beginning its slash would be lost.
        """
        if not any(each.path == ROOT and self._needs_own(each.route) for each in entries):
            return entries
        there = {(each.method, each.asks) for each in entries if each.path == SLASH}
        if (None, None) in there:
            return entries
        root = [each for each in entries if each.path == ROOT and (each.method, each.asks) not in there]
        return (*(each._replace(path=SLASH) for each in root), *entries)

    def _needs_own(self, route: str) -> bool:
        return route != UNSERVED and needs_own_rule(self._routes[route])

    def _rule(self, entries: Iterable[TableEntry], route: GatewayRouteTable | None) -> Manifest:
        matches = [_match(each) for each in entries]
        rule: Manifest = {"matches": matches}
        filters: list[Manifest] = []
        if route is not None:
            path = PathMatch(matches[0]["path"]["type"], matches[0]["path"]["value"])
            filters = filters_of(self._table, route, path)
        if filters:
            rule["filters"] = filters
        if any(each["type"] == "RequestRedirect" for each in filters):
            return rule
        rule["backendRefs"] = self._backends
        if route is not None and (timeouts := timeouts_of(route)) is not None:
            rule["timeouts"] = timeouts
        return rule

    def _to_https(self) -> Iterator[Manifest]:
        """What sends to TLS who comes without it; who probes is let through."""
        hosts = [each.lower() for each in self._table.hosts if can_be_named(each)]
        if self._table.hosts and not hosts:
            return
        moved = GatewayRouteTable(redirect=RedirectTable("", status=HTTPS))
        filters = filters_of(self._table, moved, ROOT)
        filters[0]["requestRedirect"] = {"scheme": "https", **filters[0]["requestRedirect"]}
        passing = [TableEntry(UNSERVED, PathMatch("Exact", PROBE.decode())), *self._proofs]
        rules: list[Manifest] = [
            {"name": "passing", **self._rule(passing, None)},
            {"name": "to-https", "matches": [_match(TableEntry(ELSE, ROOT))], "filters": filters},
        ]
        for number, part in enumerate(_parts(hosts, RULES) if hosts else [()]):
            name = f"{self._name}-to-https" + (f"-{number + 1}" if number else "")
            yield self._route(name, part, rules, HTTP_LISTENER)

    def _route(self, name: str, hosts: Sequence[str], rules: Sequence[Manifest], listener: str | None) -> Manifest:
        parent = {"name": self._name, **({} if listener is None else {"sectionName": listener})}
        spec: Manifest = {"parentRefs": [parent]}
        if hosts:
            spec["hostnames"] = [*hosts]
        return self._object("HTTPRoute", name, {**spec, "rules": [*rules]})

    def _object(self, kind: str, name: str, spec: Manifest) -> Manifest:
        where = {} if self._names.namespace is None else {"namespace": self._names.namespace}
        labels = {"app.kubernetes.io/part-of": self._name, "app.kubernetes.io/managed-by": "meristem"}
        return {
            "apiVersion": VERSION,
            "kind": kind,
            "metadata": {"name": name, **where, "labels": labels},
            "spec": spec,
        }


def _match(entry: TableEntry) -> Manifest:
    told: Manifest = {"path": {"type": entry.path.type, "value": entry.path.value}}
    if entry.asks is not None:
        told["headers"] = [{"type": "Exact", "name": ASKED_METHOD, "value": entry.asks}]
    if entry.method is not None:
        told["method"] = entry.method
    return told


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _fitting(rules: Sequence[Manifest]) -> Iterator[list[Manifest]]:
    """The rules in as many HTTPRoutes as they need: which of them one is in does not count."""
    part: list[Manifest] = []
    for rule in rules:
        if part and (len(part) == RULES or sum(len(each["matches"]) for each in (*part, rule)) > MATCHES):
            yield _numbered(part)
            part = []
        part.append(rule)
    yield _numbered(part)


def _numbered(rules: Iterable[Manifest]) -> list[Manifest]:
    """The same, of those that are called alike all but the first with a number; routes have no dots in their names."""
    seen: Counter[str] = Counter()
    numbered = []
    for rule in rules:
        name = rule["name"]
        seen[name] += 1
        numbered.append({**rule, "name": name if seen[name] == 1 else f"{name}.{seen[name]}"})
    return numbered
