"""Where the parts of a planned system are served, for the routes of its gateway that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.errors import ConfigurationError
from meristem.gateway.policy.part_paths import OperationPath, PartPaths
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.system.placement_errors import SAID

if TYPE_CHECKING:
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.system.plan import OperationPlan, Plan


def part_paths(plan: Plan) -> PartPaths:
    """The mounts and the paths of operations of a system; those of external systems are not served here."""
    mounts = {each.name: each.mount for part in (plan.apps, plan.programs) for each in part if each.mount is not None}
    known = (each for service in plan.services for each in service.operations)
    return PartPaths(mounts, {_called(each): _path(each) for each in known}, plan.api)


def check_gateway(table: GatewayTable | None, plan: Plan) -> None:
    """Refuse routes for parts that the system lacks, and two for the same requests; raises ConfigurationError."""
    if table is None:
        return
    try:
        RouteChoice(table.routes, table.routes, None, part_paths(plan))
    except ConfigurationError as error:
        raise ConfigurationError(f"{SAID}{error}") from None


def _called(operation: OperationPlan) -> str:
    contract = operation.path.split("/")[1]
    return f"{contract}.{operation.name}"


def _path(operation: OperationPlan) -> OperationPath:
    verb, _, path = (operation.http or "").partition(" ")
    return OperationPath(operation.path, verb, path)
