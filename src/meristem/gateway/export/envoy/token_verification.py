"""The issuers of tokens as Envoy verifies them: by public keys that it fetches, or a secret in its environment."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from meristem.config.setting_sources import variable
from meristem.gateway.export.envoy.endpoints import cluster
from meristem.gateway.export.exported_policy import HostPort
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.policy.identity_tables import IssuerTable

FILTER: Final = "envoy.filters.http.jwt_authn"
TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3"
REQUIREMENT: Final = "token"
KEPT: Final = "60s"  # for how long keys count that were read: one that was withdrawn, and until a new one does
PATIENCE: Final = "5s"
PORTS: Final = {"http": 80, "https": 443}


def token_filter(system: str, issuers: Mapping[str, IssuerTable]) -> Part:
    """Verifies tokens on the routes that ask for it. It refuses none: the script behind it does, by what is found."""
    any_of: list[Part] = [*({"provider_name": name} for name in issuers), {"allow_missing_or_failed": {}}]
    return {
        "name": FILTER,
        "typed_config": {
            "@type": f"{TYPE}.JwtAuthentication",
            "providers": {name: _provider(system, name, each) for name, each in issuers.items()},
            "requirement_map": {REQUIREMENT: {"requires_any": {"requirements": any_of}}},
        },
    }


def verified_here() -> Part:
    """What a route says of the filter on which tokens are verified."""
    return {"@type": f"{TYPE}.PerRouteConfig", "requirement_name": REQUIREMENT}


def key_clusters(issuers: Mapping[str, IssuerTable]) -> Iterator[Part]:
    """Where the public keys are fetched."""
    for name, each in issuers.items():
        if not each.is_symmetric:
            url = urlsplit(each.jwks)
            host = url.hostname or ""
            yield cluster(
                _cluster(name), [HostPort(host, url.port or PORTS[url.scheme])], host if url.scheme == "https" else None
            )


def variable_of(system: str, issuer: str) -> str:
    """Which variable of Envoy's environment has the secret of an issuer, as a set of keys (RFC 7517)."""
    return variable(system, f"gateway_{issuer}", "jwks")


def _provider(system: str, name: str, issuer: IssuerTable) -> Part:
    keys: Part = (
        {"local_jwks": {"environment_variable": variable_of(system, name)}}
        if issuer.is_symmetric
        else {
            "remote_jwks": {
                "http_uri": {"uri": issuer.jwks, "cluster": _cluster(name), "timeout": PATIENCE},
                "cache_duration": KEPT,
                "async_fetch": {},
            }
        }
    )
    return {
        "issuer": issuer.issuer,
        "audiences": [*issuer.audiences],
        **keys,
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": max(1, ceil(seconds_of(issuer.leeway))),  # 0 stands for a minute; the script looks again
        "payload_in_metadata": name,
        "failed_status_in_metadata": ":failed",
    }


def _cluster(name: str) -> str:
    return f"issuer.{name}"
