"""The Lua that Envoy runs, with what of a policy it has to know written before it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from meristem.gateway.export.envoy.address_rules import asked_fields
from meristem.gateway.export.envoy.header_matchers import path_part
from meristem.gateway.export.lua_table import lua_text
from meristem.gateway.export.shared_lua import SHARED
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.gateway_table import GatewayTable


PATH_MODULES: Final = ("meristem.utf8", "meristem.canonical_path")
TOKEN_MODULES: Final = ("meristem.utf8", "meristem.strict_json", "meristem.token_claims")


def path_script(policy: ExportedPolicy, *, believes_peer: bool) -> str:
    """Puts paths into one spelling, and takes off what only the gateway, or a proxy that is believed, may say."""
    places = dict.fromkeys((each.kind, path_part(each.path)) for each in policy.matches)
    known = {
        "ASKED_FIELDS": asked_fields(policy.table.firewall),
        "BELIEVES_PEER": believes_peer,
        "TRANSPORT_SECURITY": policy.table.headers.security.transport_security,
        "PLACES": [{"path": path, "whole": kind == "whole"} for kind, path in places if kind in ("whole", "below")],
    }
    return _script("request_head.lua", known, PATH_MODULES)


def requirement_script(table: GatewayTable) -> str:
    """Lets in by verified tokens."""
    issuers = {
        name: {
            "algorithms": dict.fromkeys(each.algorithms, True),
            "audiences": dict.fromkeys(each.audiences, True),
            "leeway": seconds_of(each.leeway),
            "prefix": each.subject_prefix,
            "subject": each.claims.subject,
            "roles": each.claims.roles,
            "tenant": each.claims.tenant,
            "scopes": each.claims.scopes,
        }
        for name, each in table.issuers.items()
    }
    return _script("token_requirement.lua", {"ISSUERS": issuers}, TOKEN_MODULES)


def _script(name: str, known: Mapping[str, object], modules: Iterable[str]) -> str:
    """A script with what it knows, and the modules that it may require, each in a function of its own."""
    parts = [f"local {variable} = {lua_text(value)}\n" for variable, value in known.items()]
    parts.append("local modules = {}\nlocal function require(name) return modules[name] end\n")
    for module in modules:
        source = SHARED[module].read_text(encoding="utf-8")
        parts.append(f"modules[{lua_text(module)}] = (function()\n{source}end)()\n")
    script = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return "".join(parts) + "\n" + script
