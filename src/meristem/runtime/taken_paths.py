"""The public paths that a system answers at itself, whichever of its processes does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.hosting.shadowing import TakenPath
from meristem.transports.http.rest.docs import PATHS
from meristem.webhooks.event_intake import PATH as INTAKE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.system.plan import Plan


def taken_paths(plan: Plan, *, described: bool) -> list[TakenPath]:
    """The paths of RPC, REST and the public probe; `described` says that the API page is public."""
    return list(_taken(plan, described=described))


def _taken(plan: Plan, *, described: bool) -> Iterator[TakenPath]:
    yield TakenPath("/health", "the probe")
    if plan.accepts_events:
        yield TakenPath(INTAKE, "the intake of events")
    operations = [(service.name, each) for service in plan.services for each in service.operations]
    for service, operation in operations:
        if operation.http is not None:
            yield TakenPath(plan.api + operation.http.partition(" ")[2], f"REST of {service}", forgives_slash=True)
    if described and any(each.http is not None for _, each in operations):
        yield from (TakenPath(plan.api + each, "the API page") for each in PATHS)
    for service, operation in operations:
        yield TakenPath(operation.path, f"RPC of {service}")
