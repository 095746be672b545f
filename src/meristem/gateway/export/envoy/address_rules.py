"""The firewall's rules as Envoy's access control has them: all who are denied, without those allowed before."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import ConfigurationError
from meristem.gateway.export.envoy.header_matchers import (
    CHUNKS,
    HEAD,
    JOINED,
    LITERAL,
    PATH,
    QUERY,
    above,
    equal,
    like,
    one_of,
    path_part,
    present,
    text,
)
from meristem.gateway.policy.firewall_table import read_networks
from meristem.quantities import bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.policy.firewall_table import FirewallRule, FirewallTable, HeaderCondition

EVERYBODY: Final[Part] = {"any": True}


def access_control(table: FirewallTable) -> Part:
    """The configuration of the filter.

    Envoy denies whom any policy fits, in no order. The first rule that fits denies a request if one that denies fits
    and none that allows stands before it and fits, too: so each policy is one that denies, but for what was allowed.
    """
    refused: dict[str, Part] = {}
    noted: dict[str, Part] = {}
    allowed: list[Part] = []
    for name, rule in zip(table.names(), table.rules, strict=True):
        who = all_of(_conditions(rule))
        if rule.action == "deny":
            but = [{"not_id": any_of(allowed)}] if allowed else []
            policies = noted if rule.dry_run else refused
            policies[name] = {"permissions": [{"any": True}], "principals": [all_of([who, *but])]}
        elif not rule.dry_run:
            allowed.append(who)
    control: Part = {"rules_stat_prefix": "firewall_", "track_per_rule_stats": True}
    if refused:
        control["rules"] = {"action": "DENY", "policies": refused}
    if noted:
        control |= {"shadow_rules": {"action": "DENY", "policies": noted}, "shadow_rules_stat_prefix": "would_"}
    return control


def asked_fields(table: FirewallTable) -> list[str]:
    """The fields of which rules ask what they say: Envoy asks each of several by itself, so they are joined first."""
    return sorted({each.name for rule in table.rules for each in rule.headers if each.present is None})


def all_of(each: Iterable[Part]) -> Part:
    """Whoever is all of these; everybody for none."""
    known = [*each]
    return {"and_ids": {"ids": known}} if len(known) > 1 else known[0] if known else EVERYBODY


def any_of(each: Iterable[Part]) -> Part:
    """Whoever is one of these; nobody for none."""
    known = [*each]
    if not known:
        return {"not_id": EVERYBODY}
    return {"or_ids": {"ids": known}} if len(known) > 1 else known[0]


def cidr(network: str) -> Part:
    """An address or a network."""
    found = ip_network(network)
    return {"address_prefix": str(found.network_address), "prefix_len": found.prefixlen}


def _conditions(rule: FirewallRule) -> Iterator[Part]:
    if rule.methods:
        yield {"header": one_of(":method", rule.methods)}
    if rule.paths:
        # What is allowed is there by every reading: whoever takes `/open;x/y` for one name is not at `/open`.
        for told in (PATH, LITERAL) if rule.action == "allow" else (PATH,):
            yield any_of({"header": _at(each, told)} for each in rule.paths)
    if rule.head_above is not None:
        yield {"header": above(HEAD, bytes_of(rule.head_above))}
    if rule.query_above is not None:
        yield {"header": above(QUERY, bytes_of(rule.query_above))}
    if rule.body_above is not None:
        large = above("content-length", bytes_of(rule.body_above)), present(CHUNKS)
        yield any_of({"header": each} for each in large)
    for condition in rule.headers:
        yield {"header": _field(condition)}
    if rule.addresses or rule.addresses_file is not None:
        yield any_of({"remote_ip": cidr(each)} for each in _addresses(rule))


def _at(path: str, told: str) -> Part:
    """Requests at a path or below its beginning, by a path that has a slash at its end."""
    if path.endswith("*"):
        return text(told, prefix=path_part(path[:-1]))
    return text(told, exact=path_part(path.rstrip("/") + "/"))


def _field(condition: HeaderCondition) -> Part:
    if condition.present is not None:
        name = ":authority" if condition.name == "host" else condition.name
        return present(name, there=condition.present)
    name = JOINED + condition.name
    if condition.equals is not None:
        return equal(name, condition.equals)
    return like(name, condition.matches or "")


def _addresses(rule: FirewallRule) -> list[Any]:
    if rule.addresses_file is None:
        return [*rule.addresses]
    try:
        return [*rule.addresses, *read_networks(Path(rule.addresses_file))]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"[gateway.firewall]: rules: addresses_file: {error}") from None
