"""Where Envoy listens, whom it believes where requests come from, and the filters in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.gateway.export.envoy.address_rules import access_control, asked_fields, cidr
from meristem.gateway.export.envoy.answer_fields import INSTEAD, answer_filter
from meristem.gateway.export.envoy.compressors import compressors
from meristem.gateway.export.envoy.cross_origin import cors_filter
from meristem.gateway.export.envoy.endpoints import TLS_DOWNSTREAM, address
from meristem.gateway.export.envoy.header_matchers import CHUNKS, JOINED, TELL_PATH
from meristem.gateway.export.envoy.native_routes import BUFFER, BUFFER_TYPE, SCRIPTS
from meristem.gateway.export.envoy.rate_filters import rate_filters
from meristem.gateway.export.envoy.scripts import path_script, requirement_script
from meristem.gateway.export.envoy.token_verification import token_filter
from meristem.gateway.export.envoy.virtual_hosts import virtual_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.export.exported_policy import ExportedPolicy, HostPort

TYPE: Final = "type.googleapis.com/envoy.extensions.filters"
MANAGER: Final = f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager"
EARLY: Final = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
XFF: Final = "type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig"
NOTHING_THERE: Final = 404
CEL: Final = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
MOST_BYTES: Final = 2**32 - 1


def listeners(policy: ExportedPolicy) -> Iterator[Part]:
    """One for HTTP, and one for TLS if the policy has certificates."""
    yield _listener(policy, "http", policy.http, None)
    files = None if policy.table.tls is None else policy.table.tls.files()
    if policy.https is not None and files is not None:
        yield _listener(policy, "https", policy.https, files)


def _listener(policy: ExportedPolicy, name: str, at: HostPort, files: tuple[Path, Path] | None) -> Part:
    socket = {} if files is None else {"transport_socket": _tls(*files)}
    chains: list[Part] = []
    if policy.trusted_proxies:
        among = {"source_prefix_ranges": [_network(each) for each in policy.trusted_proxies]}
        chains.append({"filter_chain_match": among, "filters": [_manager(policy, believes_peer=True)], **socket})
    chains.append({"filters": [_manager(policy, believes_peer=False)], **socket})
    return {"name": name, "address": address(at), "filter_chains": chains}


def _network(entry: str) -> Part:
    try:
        return cidr(entry)
    except ValueError:
        raise ConfigurationError(f"trusted_proxies: {entry}: Envoy knows peers by their addresses alone") from None


def _tls(chain: Path, key: Path) -> Part:
    certificate = {
        "certificate_chain": {"filename": str(chain)},
        "private_key": {"filename": str(key)},
    }
    context = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [certificate],
        "alpn_protocols": ["http/1.1"],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": TLS_DOWNSTREAM, "common_tls_context": context},
    }


def _manager(policy: ExportedPolicy, *, believes_peer: bool) -> Part:
    joined = (JOINED + each for each in asked_fields(policy.table.firewall))
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": MANAGER,
            "stat_prefix": policy.system,
            "codec_type": "HTTP1",
            **_origin(policy, believes_peer=believes_peer),
            "early_header_mutation_extensions": [{"name": "chunks", "typed_config": _chunks()}],
            "server_header_transformation": "PASS_THROUGH",
            "strip_trailing_host_dot": True,
            "request_headers_timeout": "10s",
            "stream_idle_timeout": "3600s",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "local_reply_config": {"mappers": [*_hidden(policy), _problem()]},
            "route_config": {
                "name": policy.system,
                "ignore_port_in_host_matching": True,
                "request_headers_to_remove": [*TELL_PATH, *joined],
                "virtual_hosts": [*virtual_hosts(policy)],
                **_without_buffer(policy),
            },
            "http_filters": [*_filters(policy, believes_peer=believes_peer)],
        },
    }


def _origin(policy: ExportedPolicy, *, believes_peer: bool) -> Part:
    """Where a request comes from: its connection, or what a trusted proxy says.

    Envoy adds nothing to that: of a peer on the same machine it would add an address of its own, which the edge behind
    would take for the client's. The first script tells the edge.
    """
    if not believes_peer:
        return {"use_remote_address": True, "skip_xff_append": True}
    cidrs = {"cidrs": [_network(each) for each in policy.trusted_proxies]}
    trusted = {"@type": XFF, "xff_trusted_cidrs": cidrs, "skip_xff_append": True}
    return {
        "use_remote_address": False,
        "original_ip_detection_extensions": [{"name": "envoy.http.original_ip_detection.xff", "typed_config": trusted}],
    }


def _chunks() -> Part:
    """Keeps that a body comes in chunks, which Envoy takes off before its filters look at a request."""
    told = {"header": {"key": CHUNKS, "value": "%REQ(transfer-encoding)%"}, "append_action": INSTEAD}
    return {"@type": EARLY, "mutations": [{"remove": CHUNKS}, {"append": told}]}


def _filters(policy: ExportedPolicy, *, believes_peer: bool) -> Iterator[Part]:
    """What looks at a request, in the order of the edge; at answers the last looks first."""
    table = policy.table
    yield _script("request_head", path_script(policy, believes_peer=believes_peer))
    yield answer_filter(table.headers)  # behind what finds the route, whose rules it knows then
    if table.firewall.rules:
        rules = {"@type": f"{TYPE}.http.rbac.v3.RBAC", **access_control(table.firewall)}
        yield {"name": "envoy.filters.http.rbac", "typed_config": rules}
    yield cors_filter()
    yield from rate_filters(table, late=False)
    if table.issuers:
        yield token_filter(policy.system, table.issuers)
    late = [*rate_filters(table, late=True)]
    if table.issuers or late:
        yield _script(SCRIPTS, requirement_script(table))
    yield from late
    if table.compression is not None:
        yield from compressors(table.compression)
    if _bounds_bodies(policy):
        buffer = {"@type": f"{BUFFER_TYPE}.Buffer", "max_request_bytes": MOST_BYTES}
        yield {"name": BUFFER, "typed_config": buffer}
    router = {"@type": f"{TYPE}.http.router.v3.Router", "suppress_envoy_headers": True}
    yield {"name": "envoy.filters.http.router", "typed_config": router}


def _script(name: str, source: str) -> Part:
    lua = {"@type": f"{TYPE}.http.lua.v3.Lua", "default_source_code": {"inline_string": source}}
    return {"name": name, "typed_config": lua}


def _bounds_bodies(policy: ExportedPolicy) -> bool:
    table = policy.table
    return table.body_bytes is not None or any(each.body_bytes is not None for each in table.routes.values())


def _without_buffer(policy: ExportedPolicy) -> Part:
    """Bodies are held back on the routes alone that bound them."""
    if not _bounds_bodies(policy):
        return {}
    return {"typed_per_filter_config": {BUFFER: {"@type": f"{BUFFER_TYPE}.BufferPerRoute", "disabled": True}}}


def _hidden(policy: ExportedPolicy) -> Iterator[Part]:
    """A rule that denies as if nothing were there: what Envoy notes of a refusal has its name."""
    firewall = policy.table.firewall
    for name, rule in zip(firewall.names(), firewall.rules, strict=True):
        if rule.action == "deny" and not rule.dry_run and rule.status == NOTHING_THERE:
            expression = f"response.code_details == 'rbac_access_denied_matched_policy[{name}]'"
            by_rule = {"name": "rule", "typed_config": {"@type": CEL, "expression": expression}}
            yield {**_problem(), "filter": {"extension_filter": by_rule}, "status_code": NOTHING_THERE}


def _problem() -> Part:
    """Envoy's own refusals are problems as the gateway's (RFC 9457)."""
    refused = {"comparison": {"op": "GE", "value": {"default_value": 400, "runtime_key": "problems.from"}}}
    body = {
        "type": "about:blank",
        "status": "%RESPONSE_CODE%",
        "detail": "%LOCAL_REPLY_BODY%",
    }
    return {
        "filter": {"status_code_filter": refused},
        "body_format_override": {"json_format": body, "content_type": "application/problem+json"},
    }
