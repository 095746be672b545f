"""What Envoy cannot do, or not as the gateway does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.export.gaps import (
    Gap,
    compresses,
    has_store,
    in_limits,
    in_table,
    is_discovered,
    of_issuers,
    on_routes,
    orders_certificate,
    signs_in,
)
from meristem.gateway.policy.firewall_table import CUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.firewall_table import FirewallRule
    from meristem.gateway.policy.route_table import GatewayRouteTable

TAKEN_OFF: Final = frozenset(("connection", "keep-alive", "proxy-connection", "te", "upgrade"))
"""Fields that are gone, or are written anew, before a filter of Envoy looks at a request."""


def _in_rules(key: str, asks: Callable[[FirewallRule], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    def asked(policy: ExportedPolicy) -> Iterator[str]:
        firewall = policy.table.firewall
        for name, rule in zip(firewall.names(), firewall.rules, strict=True):
            if asks(rule):
                yield f"[gateway.firewall] rules: {name}: {key}"

    return asked


def _keys(policy: ExportedPolicy) -> Iterator[str]:
    if policy.table.keys is not None:
        yield from on_routes("require", lambda route: route.require not in (None, "user"))(policy)


def _waits_for_answer(route: GatewayRouteTable) -> bool:
    return route.timeout is not None and not route.operations


def _asks_taken_off(rule: FirewallRule) -> bool:
    return any(each.name in TAKEN_OFF or each.name.startswith("x-meristem-") for each in rule.headers)


def _asks_foreign_letters(rule: FirewallRule) -> bool:
    return any(not (each.equals or each.matches or "").isascii() for each in rule.headers)


GAPS: Final = (
    Gap(
        "`require` of a route that lets API keys in",
        "Envoy has no keys of which digests alone are kept, and would not learn of one that is revoked",
        "",
        _keys,
    ),
    Gap(
        "`[gateway.sign_in]`",
        "Envoy cannot read the sessions that the edge gives to browsers",
        "",
        in_table("[gateway.sign_in]", signs_in),
    ),
    Gap(
        "`[gateway.tls.acme]`",
        "Envoy orders none; write certificate and key of files",
        "",
        in_table("[gateway.tls.acme]", orders_certificate),
    ),
    Gap(
        "`jwks` left out",
        "Envoy does not ask an issuer where its keys are; write what its discovery document says as jwks_uri",
        "",
        of_issuers("jwks", is_discovered),
    ),
    Gap(
        "`Ed25519` among `algorithms`",
        "Envoy knows this algorithm as EdDSA alone",
        "such tokens are refused with 401",
        of_issuers("algorithms", lambda issuer: "Ed25519" in issuer.algorithms),
    ),
    Gap(
        "rules about `Connection`, `Upgrade` and other fields of one connection, or about `X-Meristem-…`",
        "Envoy takes these fields off before its rules are asked",
        "",
        _in_rules("headers", _asks_taken_off),
    ),
    Gap(
        "rules about fields with letters beyond ASCII",
        "Envoy and the edge read such letters in different ways",
        "",
        _in_rules("headers", _asks_foreign_letters),
    ),
    Gap(
        "`head_above` of a rule",
        "Envoy does not tell how long a head was as it came",
        "the lengths of the fields are added, with those that Envoy itself has added",
        _in_rules("head_above", lambda rule: rule.head_above is not None),
    ),
    Gap(
        "`addresses_file` of a rule",
        "Envoy does not read the file",
        "the addresses that stand in it now; export again when it has changed",
        _in_rules("addresses_file", lambda rule: rule.addresses_file is not None),
    ),
    Gap(
        "`status = 444` of a rule",
        "Envoy has no refusal that only cuts the connection",
        "403",
        _in_rules("status", lambda rule: rule.action == "deny" and rule.status == CUT),
    ),
    Gap(
        "`[gateway.firewall.ban]`",
        "Envoy does not count what an address was refused for",
        "nobody is banned; each request is refused by the rule that it breaks",
        in_table("[gateway.firewall.ban]", lambda table: table.firewall.ban is not None),
    ),
    Gap(
        "`delay` of a limit",
        "Envoy refuses what is too much, and lets nothing wait",
        "what is within the burst goes on at once",
        in_limits("delay", lambda limit: limit.delay is not False),
    ),
    Gap(
        "several `limits` of a route",
        "Envoy asks one limit after the other, and what the first has taken it does not give back",
        "a request that a later limit refuses is charged by those before it",
        on_routes("limits", lambda route: len(route.limits) > 1),
    ),
    Gap(
        "`store` of a limit",
        "Envoy's own limits are those of one process",
        "each process of Envoy counts for itself",
        in_limits("store", has_store),
    ),
    Gap(
        "`concurrency` of a route",
        "Envoy does not count them by who has sent them",
        "none are counted; the edge behind counts its own",
        on_routes("concurrency", lambda route: bool(route.concurrency)),
    ),
    Gap(
        "`[gateway.compression]`",
        "Envoy compresses by names of types alone, and knows one coding that goes before the others",
        "the usual types of text, JSON, XML, JavaScript, SVG and WebAssembly; of `codings` that a client likes alike "
        "the first, else the one that it names first; also where the answer tells a sum of its body, which then is "
        "another's",
        in_table("[gateway.compression]", compresses),
    ),
    Gap(
        "`timeout` of a route for an app or a path",
        "Envoy's time ends with the answer, and not where that begins",
        "the time is for the whole answer",
        on_routes("timeout", _waits_for_answer),
    ),
)
