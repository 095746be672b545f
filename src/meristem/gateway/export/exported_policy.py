"""What another proxy has to know to hold the policy of a `[gateway]` table before a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meristem.gateway.policy.gatekeeper import ELSE
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.route_table import GatewayRouteTable

if TYPE_CHECKING:
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.part_paths import PartPaths
    from meristem.gateway.policy.route_choice import RouteMatch


class HostPort(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ClusterNames(NamedTuple):
    """What the objects of a Kubernetes cluster are called to which manifests refer."""

    gateway_class: str
    namespace: str | None = None
    tls_secret: str | None = None


class ExportedPolicy(msgspec.Struct, frozen=True):
    """A table as it is exported: where it is to hold, and what stands behind.

    `matches` are the ways to be on its routes, the first that fits before the others. Requests go on to one of the
    `upstreams`, which are edges of the `system`. The proxy listens at `http`, and at `https` where the table has
    certificates. `trusted_proxies` stand before it, and are believed where a request came from. API keys are those of
    the `keys_file`. For Kubernetes the `upstreams` are Services, and `cluster` says the other names.
    """

    system: str
    table: GatewayTable
    matches: tuple[RouteMatch, ...]
    upstreams: tuple[HostPort, ...]
    http: HostPort
    https: HostPort | None = None
    trusted_proxies: tuple[str, ...] = ()
    keys_file: str = ""
    cluster: ClusterNames | None = None


def matches_of(table: GatewayTable, parts: PartPaths) -> tuple[RouteMatch, ...]:
    """The ways to be on the routes of a table; raises ConfigurationError for a part that the system lacks."""
    return (*RouteChoice(table.routes, table.routes, None, parts).in_order(),)


def routes_of(table: GatewayTable) -> dict[str, GatewayRouteTable]:
    """The routes by name, with that of what no other fits."""
    return {**table.routes, ELSE: GatewayRouteTable()}
