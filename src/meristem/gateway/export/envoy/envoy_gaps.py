"""What Envoy cannot do, or not as the gateway does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.export.gaps import Gap, on_routes
from meristem.gateway.policy.firewall_table import CUT
from meristem.gateway.policy.limit_tables import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.firewall_table import FirewallRule
    from meristem.gateway.policy.identity_tables import IssuerTable
    from meristem.gateway.policy.limit_tables import RateLimitTable
    from meristem.gateway.policy.route_table import GatewayRouteTable

TAKEN_OFF: Final = frozenset(("connection", "keep-alive", "proxy-connection", "te", "upgrade"))
"""Fields that are gone, or are written anew, before a filter of Envoy looks at a request."""


def _in_limits(key: str, asks: Callable[[RateLimitTable], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    def asked(policy: ExportedPolicy) -> Iterator[str]:
        for name, limit in policy.table.limits.items():
            if asks(limit):
                yield f"[gateway.limits.{name}] {key}"

    return asked


def _in_rules(key: str, asks: Callable[[FirewallRule], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    def asked(policy: ExportedPolicy) -> Iterator[str]:
        firewall = policy.table.firewall
        for name, rule in zip(firewall.names(), firewall.rules, strict=True):
            if asks(rule):
                yield f"[gateway.firewall] rules: {name}: {key}"

    return asked


def _of_issuers(key: str, asks: Callable[[IssuerTable], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    def asked(policy: ExportedPolicy) -> Iterator[str]:
        for name, issuer in policy.table.issuers.items():
            if asks(issuer):
                yield f"[gateway.issuers.{name}] {key}"

    return asked


def _bans(policy: ExportedPolicy) -> Iterable[str]:
    return () if policy.table.firewall.ban is None else ("[gateway.firewall.ban]",)


def _compression(policy: ExportedPolicy) -> Iterable[str]:
    return () if policy.table.compression is None else ("[gateway.compression]",)


def _sign_in(policy: ExportedPolicy) -> Iterable[str]:
    return () if policy.table.sign_in is None else ("[gateway.sign_in]",)


def _acme(policy: ExportedPolicy) -> Iterable[str]:
    tls = policy.table.tls
    return () if tls is None or tls.acme is None else ("[gateway.tls.acme]",)


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
    Gap("`[gateway.sign_in]`", "Envoy cannot read the sessions that the edge gives to browsers", "", _sign_in),
    Gap("`[gateway.tls.acme]`", "Envoy orders none; write certificate and key of files", "", _acme),
    Gap(
        "`jwks` left out",
        "Envoy does not ask an issuer where its keys are; write what its discovery document says as jwks_uri",
        "",
        _of_issuers("jwks", lambda issuer: not issuer.jwks and not issuer.is_symmetric),
    ),
    Gap(
        "`Ed25519` among `algorithms`",
        "Envoy knows this algorithm as EdDSA alone",
        "such tokens are refused with 401",
        _of_issuers("algorithms", lambda issuer: "Ed25519" in issuer.algorithms),
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
        _bans,
    ),
    Gap(
        "`delay` of a limit",
        "Envoy refuses what is too much, and lets nothing wait",
        "what is within the burst goes on at once",
        _in_limits("delay", lambda limit: limit.delay is not False),
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
        _in_limits("store", lambda limit: limit.store != MEMORY),
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
        _compression,
    ),
    Gap(
        "`timeout` of a route for an app or a path",
        "Envoy's time ends with the answer, and not where that begins",
        "the time is for the whole answer",
        on_routes("timeout", _waits_for_answer),
    ),
)
