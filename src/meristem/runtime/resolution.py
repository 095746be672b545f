"""How a process finds the services that live elsewhere: variables first, then the placement, then the supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.discovery.environment import read_environment, replicas_variable
from meristem.discovery.layered import LayeredResolver
from meristem.discovery.static import StaticResolver
from meristem.errors import ConfigurationError
from meristem.runtime.scaled_resolver import ScaledResolver
from meristem.system.addresses import edge
from meristem.system.templates import filled
from meristem.transports.adapters import CLIENTS
from meristem.transports.http.address import Address

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from meristem.discovery.resolver import Resolver
    from meristem.system.placement import Placement
    from meristem.system.plan import Plan


def resolver_for(
    plan: Plan,
    placement: Placement,
    process: str,
    *,
    environment: Mapping[str, str],
    run: Path | None = None,
    taken: Collection[str] = (),
) -> Resolver:
    """The resolver of the process named `process`; `run` is the folder of the sockets where a supervisor gives one.

    `taken` are variables that are settings here. The edge knows apps and mounted programs, too. Raises
    ConfigurationError for a malformed variable or name.
    """
    others = [each for each in plan.processes if each.name != process]
    services = [name for each in others for name in each.services]
    is_edge = edge(plan).name == process
    apps = [name for each in others for name in each.apps] if is_edge else []
    programs = [each.name for each in plan.programs if each.mount is not None] if is_edge else []
    given = read_environment(environment, plan.system, services, check=CLIENTS.check, taken=taken)
    given |= read_environment(environment, plan.system, apps, check=_check, named=replicas_variable)
    given |= read_environment(environment, plan.system, programs, check=_check)
    layers: list[Resolver] = [StaticResolver(given)]
    if placement.discovery.dns is not None:
        layers.append(_by_dns(placement.discovery.dns, plan, [*services, *apps], layers[0]))
    if run is not None:
        layers.append(ScaledResolver(plan, run, (*services, *apps)))
    return LayeredResolver(*layers)


def _check(address: str) -> None:
    """Raises ConfigurationError for what can't be forwarded to."""
    if Address.parse(address).secure:
        raise ConfigurationError(f"{address}: the edge speaks no TLS to what it forwards to; give http:// or tcp://")


def _by_dns(template: str, plan: Plan, services: list[str], stronger: Resolver) -> Resolver:
    from meristem.discovery.dns import DnsResolver  # noqa: PLC0415 - needs the extra `dns`

    # Not asked for what a variable names: the start waits until each name has been looked up once.
    wanted = [name for name in services if not stronger.knows(name)]
    return DnsResolver(
        {
            name: filled(
                "discovery.dns", template, service=name, process=plan.process_of(name).name, system=plan.system
            )
            for name in wanted
        },
        schemes={each.name: "grpc" for each in plan.services if each.transport == "grpc"},
    )
