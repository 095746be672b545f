"""Whom Envoy asks: the edges behind it, and where issuers have their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.export.exported_policy import HostPort

EDGE: Final = "edge"
AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"  # as the package ca-certificates has them
CONNECTING: Final = "2s"
MOST_AT_ONCE: Final = 100_000  # Envoy refuses from 1,024 on where nothing is said; how many may be is the policy's
TLS_UPSTREAM: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
TLS_DOWNSTREAM: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def cluster(name: str, endpoints: Iterable[HostPort], tls_name: str | None = None) -> Part:
    """Some endpoints that answer the same; by TLS, if they have a name there."""
    bounds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), MOST_AT_ONCE)
    made: Part = {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": CONNECTING,
        "circuit_breakers": {"thresholds": [bounds]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(each)}} for each in endpoints]}],
        },
    }
    if tls_name is not None:
        named = {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": tls_name}}]}
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": TLS_UPSTREAM,
                "sni": tls_name,
                "common_tls_context": {"validation_context": {"trusted_ca": {"filename": AUTHORITIES}, **named}},
            },
        }
    return made


def address(endpoint: HostPort) -> Part:
    """Where something listens."""
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}
