"""The Lua that Envoy runs, with what of a policy it has to know written before it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from meristem.gateway.export.envoy.address_rules import asked_fields
from meristem.gateway.export.envoy.header_matchers import path_part
from meristem.gateway.export.shared_lua import STRICT_JSON
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.gateway_table import GatewayTable


MODULES: Final = {
    "meristem.canonical_path": files(__package__) / "utf8.lua",
    "meristem.strict_json": STRICT_JSON,
}
"""What the scripts require, each after what it requires itself."""


def path_script(policy: ExportedPolicy, *, believes_peer: bool) -> str:
    """Puts paths into one spelling, and takes off what only the gateway, or a proxy that is believed, may say."""
    places = dict.fromkeys((each.kind, path_part(each.path)) for each in policy.matches)
    told = [
        f"  {{ path = {_quoted(path)}, whole = {'true' if kind == 'whole' else 'false'} }},\n"
        for kind, path in places
        if kind in ("whole", "below")
    ]
    asked = ", ".join(map(_quoted, asked_fields(policy.table.firewall)))
    known = {
        "ASKED_FIELDS": f"{{ {asked} }}",
        "BELIEVES_PEER": "true" if believes_peer else "false",
        "TRANSPORT_SECURITY": _quoted(policy.table.headers.security.transport_security),
        "PLACES": "{\n" + "".join(told) + "}",
    }
    return _script("canonical_path.lua", known)


def requirement_script(table: GatewayTable) -> str:
    """Lets in by verified tokens."""
    issuers = []
    for name, each in table.issuers.items():
        algorithms = ", ".join(f"[{_quoted(algorithm)}] = true" for algorithm in each.algorithms)
        texts = {
            "prefix": each.subject_prefix,
            "subject": each.claims.subject,
            "roles": each.claims.roles,
            "tenant": each.claims.tenant,
            "scopes": each.claims.scopes,
        }
        told = ", ".join(f"{key} = {_quoted(value)}" for key, value in texts.items())
        leeway = f"{seconds_of(each.leeway):g}"
        issuers.append(f"  [{_quoted(name)}] = {{ algorithms = {{ {algorithms} }}, leeway = {leeway}, {told} }},\n")
    return _script("token_requirement.lua", {"ISSUERS": "{\n" + "".join(issuers) + "}"})


def _script(name: str, known: Mapping[str, str]) -> str:
    """A script with what it knows, and the modules that it may require, each in a function of its own."""
    parts = [f"local {variable} = {value}\n" for variable, value in known.items()]
    parts.append("local modules = {}\nlocal function require(name) return modules[name] end\n")
    for module, file in MODULES.items():
        parts.append(f"modules[{_quoted(module)}] = (function()\n{file.read_text(encoding='utf-8')}end)()\n")
    script = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return "".join(parts) + "\n" + script


def _quoted(text: str) -> str:
    """A text as Lua reads it: bytes that are no letters of ASCII by their numbers."""
    plain = (chr(each) if 0x20 <= each < 0x7F and each not in b'"\\' else f"\\{each:03}" for each in text.encode())
    return f'"{"".join(plain)}"'
