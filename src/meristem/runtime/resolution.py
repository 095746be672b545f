"""How a process finds the services that live elsewhere: variables first, then the placement, then the supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.discovery.environment import read_environment
from meristem.discovery.layered import LayeredResolver
from meristem.discovery.static import StaticResolver
from meristem.system.addresses import service_addresses
from meristem.system.templates import filled
from meristem.transports.adapters import CLIENTS

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

    `taken` are variables that are settings here. Raises ConfigurationError for a malformed variable or name.
    """
    elsewhere = [name for each in plan.processes if each.name != process for name in each.services]
    layers: list[Resolver] = [
        StaticResolver(read_environment(environment, plan.system, elsewhere, check=CLIENTS.check, taken=taken)),
    ]
    if placement.discovery.dns is not None:
        layers.append(_by_dns(placement.discovery.dns, plan, elsewhere, layers[0]))
    if run is not None:
        found = service_addresses(plan, run)
        layers.append(StaticResolver({name: found[name] for name in elsewhere}))
    return LayeredResolver(*layers)


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
        }
    )
