"""The way to a system of another team: as to a service elsewhere, but that nothing of this system's own leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meristem.contracts.call import Call, Handler
from meristem.discovery.static import StaticResolver
from meristem.resilience.policies import Policies
from meristem.runtime.dependency import Dependency
from meristem.system.external_access import access_to

if TYPE_CHECKING:
    from meristem.lifecycle import Background
    from meristem.runtime.options import Options
    from meristem.runtime.telemetry import ProcessTelemetry
    from meristem.system.blueprint import Blueprint
    from meristem.system.plan import ExternalPlan


def external_dependency(
    external: ExternalPlan, blueprint: Blueprint, options: Options, telemetry: ProcessTelemetry, closing: Background
) -> Dependency:
    """What reaches an external system; raises ConfigurationError where nothing says where it is."""
    placement, name = blueprint.placement, external.name
    access = access_to(external, blueprint.plan, placement, options.environment, options.overrides)
    return Dependency(
        name,
        StaticResolver({name: access.addresses}),
        placement.policies.get(name, Policies()),
        sign=None,  # it would take the system's own token for its own, or learn it
        limits=placement.client,
        telemetry=telemetry,
        closing=closing,
        headers=access.headers(),
        tls=access.tls(),
        around=(outward,),
    )


def is_called_by(external: ExternalPlan, blueprint: Blueprint, process: str) -> bool:
    """Whether a process may call an external system: only such a one is told its token.

    An app may ask for any client, and so may a program or test whose process has no services.
    """
    plan = blueprint.plan
    placed = next(each for each in plan.processes if each.name == process)
    asks = {name for each in plan.services if each.name in placed.services for name in plan.outside(each)}
    return external.name in asks or bool(placed.apps) or not placed.services or len(plan.processes) == 1


def outward(handler: Handler) -> Handler:
    """Send a call without what travels in this system alone: deadline, trace and idempotency key go on."""

    async def sent(call: Call) -> Any:
        context = call.context
        if context.baggage or context.positions is not None:
            context = msgspec.structs.replace(context, baggage="", positions=None)
            call = Call(call.operation, call.request, context)
        return await handler(call)

    return sent
