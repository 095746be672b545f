"""What a supervisor tells operators: how each part fares as it knows it, and what the part says when it is asked."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from meristem.operators.health import DRAINING, SILENT, InstanceHealth
from meristem.operators.inspection import ask
from meristem.operators.passing import PATH
from meristem.supervision.readiness import fetched, told
from meristem.supervision.restartable import RunState
from meristem.system.system_status import ReplicaStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.contracts.operation import Operation
    from meristem.operators.health import SystemParts
    from meristem.supervision.programs import Programs
    from meristem.supervision.restarter import Restarter
    from meristem.system.plan import Plan
    from meristem.transports.endpoint import Sign


class SupervisedPart(NamedTuple):
    """A replica of a process, or a program, and who keeps it alive."""

    process: str
    replica: int
    restarter: Restarter
    program: bool = False


class SupervisedInstance:
    """A replica or program that a restarter keeps, as one of those that operators ask.

    A replica that runs is asked itself: a supervisor sees that one died, but not that it hangs.
    """

    def __init__(self, part: SupervisedPart, plan: Plan, sign: Sign | None = None) -> None:
        self._sign = sign
        self._part = part
        self._restarter = part.restarter
        self._placed = next((each for each in plan.processes if each.name == part.process), None)
        if part.program:
            self._placed, self.labels = None, {"program": part.process, "replica": str(part.replica)}
        else:
            self.labels = {"process": part.process, "replica": str(part.replica)}
        self.services: Sequence[str] = () if self._placed is None else self._placed.services

    @property
    def restarts(self) -> int:
        return self._restarter.restarts

    async def health(self) -> InstanceHealth:
        status, problem = self._restarter.status, None
        if self._restarter.state is RunState.SILENT:
            problem = "it gives no sign of life"
        if self._restarter.restartable.tells and self._restarter.state is RunState.READY:
            try:
                said = await told(self._restarter.restartable.address)
                status, problem = said.status, "; ".join(said.problems) or None
            except FileNotFoundError:  # it has taken its socket's name away
                status = DRAINING
            except OSError as error:  # TimeoutError is one
                status, problem = SILENT, str(error)
        placed, restarter = self._placed, self._restarter
        return InstanceHealth(
            self._part.process,
            self._part.replica,
            status,
            restarter.pid,
            restarter.restarts,
            restarter.since,
            restarter.restartable.address,
            placed.services if placed is not None else (),
            placed.apps if placed is not None else (),
            problem,
        )

    async def figures(self, media: str) -> str | None:
        if not self._restarter.restartable.tells:
            if self._restarter.state is not RunState.READY:
                raise ConnectionError(f"{self._part.process} is {self._restarter.status}")
            return None
        return await fetched(self._restarter.restartable.address, "/metrics", accept=media)

    async def passing(self, after: str) -> str | None:
        if not self._restarter.restartable.tells:
            return None
        return await fetched(self._restarter.restartable.address, f"{PATH}?{urlencode({'after': after})}")

    async def ask(self, operation: Operation, request: Any) -> Any:
        restartable = self._restarter.restartable
        if self._sign is None or not restartable.tells or self._placed is None or self._restarter.pid is None:
            raise ConnectionError(f"{self._part.process} is {self._restarter.status}")
        return await ask(restartable.address, operation, request, sign=self._sign)


class Supervised:
    """A system in several processes, as its operators see it; `kept` are those of now, `address` the public one.

    `sign` proves to the processes who asks. `supervision` answers operators who want to change what runs.
    """

    def __init__(
        self,
        plan: Plan,
        parts: SystemParts,
        kept: Callable[[], list[SupervisedPart]],
        address: str,
        sign: Sign,
        supervision: object,
    ) -> None:
        self.supervision = supervision
        self.parts = parts
        self.system = plan.system
        self.pid = os.getpid()
        self.since = time.time()
        self.address: str | None = address
        self._plan = plan
        self._kept = kept
        self._sign = sign

    def instances(self) -> Sequence[SupervisedInstance]:
        return [SupervisedInstance(part, self._plan, self._sign) for part in self._kept()]


def program_parts(programs: Programs) -> list[SupervisedPart]:
    """The replicas of programs, and who keeps each alive."""
    return [SupervisedPart(each.program, each.replica, restarter, program=True) for each, restarter in programs.kept]


def row(part: SupervisedPart) -> ReplicaStatus:
    """What the state directory tells of a part."""
    kept = part.restarter
    return ReplicaStatus(
        part.process, part.replica, kept.pid, kept.status, kept.restarts, kept.since, kept.restartable.address
    )
