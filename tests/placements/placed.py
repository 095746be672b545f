"""The placements of the parity suite that are made of another."""

from typing import Any, Final

from interpreters import ANOTHER, REQUIREMENTS
from msgspec.structs import replace

from meristem.resilience.policies import Policies
from meristem.system.placement import REST, Placement
from meristem.system.placement_tables import ProcessTable
from meristem.system.system import System

APART: Final = ("processes", "processes by grpc", "skewed", "named")
"""Those in which each service has a process of its own."""

BY_GRPC: Final = ("grpc", "processes by grpc")


def by_grpc(system: System, placement: Placement | None) -> Placement:
    """Every service called by gRPC."""
    placed = placement or Placement()
    names = [each if isinstance(each, str) else each.service_name for each in system.services]
    known = {name: replace(placed.policies.get(name, Policies()), transport="grpc") for name in names}
    return replace(placed, policies=known)


def apart(system: System, placement: Placement | None) -> Placement:
    """Each service in a process of its own, the first by another interpreter with other packages."""
    first, *rest = [each.service_name for each in system.services]
    own = ProcessTable((first,), python=ANOTHER[1], requirements=str(REQUIREMENTS))
    processes: dict[str, Any] = {first: own, **{name: (name,) for name in rest}}
    if system.apps:
        processes["apps"] = (REST,)
    return replace(placement or Placement(), processes=processes)
