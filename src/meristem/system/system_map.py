"""A plan as the map that operators see: what the system consists of, and who is to talk to whom."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meristem.operators.health import SystemParts
from meristem.operators.operator_contract import MapEdge, MapNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meristem.system.placement import Placement
    from meristem.system.placement_tables import Resources
    from meristem.system.plan import Plan

DIRECT = "direct"


def system_parts(plan: Plan, placement: Placement) -> SystemParts:
    """What stands in the plan, with each service's database, the broker, if there is one, and who hears outside."""
    resources, outside = placement.resources, placement.events.subscribers
    nodes, edges = list(_nodes(plan, resources)), list(_edges(plan, resources))
    for name, subscriber in outside.items():
        nodes.append(MapNode(id=f"external:{name}", kind="external", name=name, detail=_place(subscriber.url)))
        edges += [
            MapEdge(source=f"service:{each.name}", target=f"external:{name}", kind="event")
            for each in plan.services
            if each.database and any(_is_heard(contract, subscriber.types) for contract in each.contracts)
        ]
    return SystemParts(nodes, edges, has_gateway=placement.gateway is not None)


def _is_heard(contract: str, types: Iterable[str]) -> bool:
    """Whether events of the package of a contract may be among those types."""
    package = contract.rpartition(".")[0]
    return any(each.rpartition(".")[0] == package or fnmatchcase(f"{package}.", each) for each in types)


def _nodes(plan: Plan, resources: Resources) -> Iterator[MapNode]:
    processes = {part: each for each in plan.processes for part in (*each.services, *each.apps)}
    for service in plan.services:
        process = processes.get(service.name)
        name, replicas = ("", 0) if process is None else (process.name, process.replicas)
        yield MapNode(id=f"service:{service.name}", kind="service", name=service.name, process=name, replicas=replicas)
        if service.database:
            url = resources.databases.get(service.name, resources.database)
            yield MapNode(id=f"database:{service.name}", kind="database", name=service.name, detail=_place(url))
    for app in plan.apps:
        process = processes.get(app.name)
        name, replicas = ("", 0) if process is None else (process.name, process.replicas)
        yield MapNode(
            id=f"app:{app.name}", kind="app", name=app.name, process=name, replicas=replicas, detail=f"at {app.mount}"
        )
    for program in plan.programs:
        command = " ".join(program.command)
        yield MapNode(
            id=f"program:{program.name}", kind="program", name=program.name, replicas=program.replicas, detail=command
        )
    for each in plan.external:
        yield MapNode(id=f"external:{each.name}", kind="external", name=each.name, detail=each.contract)
    if resources.bus != DIRECT:
        yield MapNode(id="bus", kind="bus", name=urlsplit(resources.bus).scheme, detail=_place(resources.bus))


def _edges(plan: Plan, resources: Resources) -> Iterator[MapEdge]:
    for service in plan.services:
        source = f"service:{service.name}"
        yield from (MapEdge(source=source, target=f"service:{name}", kind="call") for name in service.calls)
        yield from (MapEdge(source=source, target=f"external:{name}", kind="call") for name in plan.outside(service))
        if service.database:
            yield MapEdge(source=source, target=f"database:{service.name}", kind="data")
    hosted = {each.name: "app" for each in plan.apps} | {each.name: "program" for each in plan.programs}
    uses = {f"service:{each.name}": each.uses for each in plan.services}
    uses |= {f"app:{each.name}": each.uses for each in plan.apps}
    for source, names in uses.items():
        targets = [f"{hosted[name]}:{name}" for name in names if name in hosted]
        yield from (MapEdge(source=source, target=each, kind="call") for each in targets if each != source)
    flows = dict.fromkeys((publisher, subscriber) for publisher, _, subscriber in plan.event_flows())
    if resources.bus == DIRECT:
        yield from (MapEdge(source=f"service:{a}", target=f"service:{b}", kind="event") for a, b in flows)
        return
    # What a service hears comes by the broker, also where nobody here publishes it.
    for publisher in dict.fromkeys(a for a, _ in flows):
        yield MapEdge(source=f"service:{publisher}", target="bus", kind="event")
    for service in plan.services:
        if service.hears:
            yield MapEdge(source="bus", target=f"service:{service.name}", kind="event")


def _place(url: str) -> str:
    """Kind and host of what a URL names; no user, no password, no path."""
    found = urlsplit(url)
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(found.scheme, found.scheme)
    host = found.netloc.rpartition("@")[2]
    return f"{kind} at {host}" if host else kind
