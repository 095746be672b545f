"""What a process that nobody supervises tells its operators of itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from meristem.operators.health import InstanceHealth
from meristem.operators.unsupervised import ALONE, CONTAINED, Unsupervised
from meristem.system.system_map import system_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.contracts.operation import Operation
    from meristem.operators.health import Instance
    from meristem.runtime.process import Process


class OwnInstance:
    """This process, as one of those that operators ask."""

    restarts = 0

    def __init__(self, process: Process, address: str | None) -> None:
        self.labels = {"process": process.assembly.process.name, "replica": str(process.assembly.options.replica)}
        self.services = process.assembly.process.services
        self._served = process
        self._address = address

    async def health(self) -> InstanceHealth:
        served = self._served
        return InstanceHealth(
            served.assembly.process.name,
            served.assembly.options.replica,
            served.state,
            os.getpid(),
            self.restarts,
            served.since,
            self._address or next(iter(served.addresses), None),
            served.assembly.process.services,
            served.assembly.process.apps,
            served.problem or "; ".join(served.assembly.problems) or None,
        )

    async def figures(self, media: str) -> str | None:
        _, text = await self._served.assembly.figures(media)
        return text.decode()

    async def passing(self, after: str) -> str | None:
        return (await self._served.assembly.telemetry.tap.look(after)).decode()

    async def ask(self, operation: Operation, request: Any) -> Any:
        return await self._served.assembly.desks.ask(operation, request)


class SingleProcess:
    """A system of which operators see this process and what runs `beside` it; `address` is the public one.

    Where it is one of several that somebody else starts, `contained`, it is for them to start anew.
    """

    def __init__(
        self,
        process: Process,
        address: str | None = None,
        *,
        beside: Sequence[Instance] = (),
        contained: bool = False,
    ) -> None:
        blueprint = process.assembly.blueprint
        self.supervision: object = Unsupervised(CONTAINED if contained else ALONE)
        self.parts = system_parts(blueprint.plan, blueprint.placement)
        self.address = address
        self.system = process.assembly.blueprint.system.name
        self.pid = os.getpid()
        self.since = process.since
        self._instances = (OwnInstance(process, address), *beside)

    def instances(self) -> Sequence[Instance]:
        return self._instances
