"""What runs beside the only process of a system, which nobody supervises: programs, and apps that live apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.lifecycle import together
from meristem.supervision.foreign_app import ForeignReplica
from meristem.supervision.guard import PATIENCE, OrphanGuard
from meristem.supervision.lifeline import Lifelines
from meristem.supervision.overview import SupervisedPart, program_parts
from meristem.supervision.programs import ProgramEnvironment, ProgramGroup, Programs
from meristem.supervision.replica import Replica, ReplicaEnvironment
from meristem.supervision.restarter import Restarter
from meristem.supervision.restarts import Restarts
from meristem.supervision.start_order import waits
from meristem.system.addresses import environment_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from meristem.supervision.foreign_app import ForeignApp
    from meristem.supervision.replica import Arguments
    from meristem.system.plan import Plan


class CompanionEnvironment(msgspec.Struct, frozen=True):
    """What companions are given: variables, the addresses of all parts by name, and the ports of programs.

    The variables hold the addresses of apps and programs: those of services, our own processes find in another way.
    `run` is the folder of the sockets, `directory` the project's; `held` are descriptors that stay open until they have
    ended, also after this process.
    """

    variables: Mapping[str, str]
    addresses: Mapping[str, str]
    ports: Mapping[str, Sequence[int]]
    run: Path
    directory: Path
    held: Sequence[int] = ()

    @property
    def everywhere(self) -> Mapping[str, str]:
        """The variables for what knows nothing of this system: with the addresses of services, too."""
        return {**environment_for(self.addresses), **self.variables}


class Companions:
    """Keeps them alive beside the process `main`, in three groups that start when it says.

    `called` are the programs that its services call, `apps` those that live apart, `others` the other programs.
    """

    def __init__(
        self,
        plan: Plan,
        main: str,
        around: CompanionEnvironment,
        *,
        arguments: Arguments,
        foreign: Mapping[str, ForeignApp],
        wrote: Callable[[str, bytes], None],
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.programs = Programs(
            plan.programs,
            around.ports,
            ProgramEnvironment(around.everywhere, around.addresses, around.directory),
            wrote=wrote,
            say=say,
            changed=lambda _: changed(),
            held=around.held,
        )
        first = waits(plan)[main]
        self.called = ProgramGroup(self.programs, [each for each in plan.programs if each.name in first])
        self.others = ProgramGroup(self.programs, [each for each in plan.programs if each.name not in first])
        self.apps = AppGroup(
            [(each.name, index) for each in plan.processes if each.name != main for index in range(each.replicas)],
            around,
            arguments=arguments,
            foreign=foreign,
            wrote=wrote,
            say=say,
            changed=changed,
        )

    async def start(self) -> None:
        """Before any of them starts; raises as `Programs.prepare` does."""
        await self.programs.prepare()

    async def drain(self) -> None:
        """Nothing to do: they end with the groups that they are in."""

    async def stop(self) -> None:
        await self.programs.close()

    @property
    def parts(self) -> list[SupervisedPart]:
        """Each that is kept, and by whom."""
        return [*self.apps.parts, *program_parts(self.programs)]


class AppGroup:
    """The processes of apps that live apart, which start and end together beside the process that is their edge."""

    def __init__(
        self,
        replicas: Sequence[tuple[str, int]],
        around: CompanionEnvironment,
        *,
        arguments: Arguments,
        foreign: Mapping[str, ForeignApp],
        wrote: Callable[[str, bytes], None],
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._guard = OrphanGuard(PATIENCE, held=around.held)
        self._lifelines: Lifelines | None = None
        self._held = around.held
        self._changed = changed
        place = ReplicaEnvironment(around.run, around.directory, arguments, around.variables, self._descriptors)
        self.parts: list[SupervisedPart] = []
        for name, index in replicas:
            replica = (
                ForeignReplica(name, index, place._replace(environment=around.everywhere), foreign[name])
                if name in foreign
                else Replica(name, index, place, None)
            )
            restarter = Restarter(replica, Restarts(), wrote=wrote, say=say, changed=self._on_change)
            self.parts.append(SupervisedPart(name, index, restarter))

    async def start(self) -> None:
        """Return when each is ready; raises StartError."""
        if self.parts:
            await self._guard.start()
            self._lifelines = Lifelines({each.process: frozenset() for each in self.parts})
            await together(each.restarter.start() for each in self.parts)

    async def drain(self) -> None:
        """End them: they may call the services, which end after them."""
        await together(each.restarter.stop() for each in self.parts)

    async def stop(self) -> None:
        await self.drain()
        await self._guard.stop()
        if self._lifelines is not None:
            self._lifelines.close()
            self._lifelines = None

    def _descriptors(self, process: str) -> Sequence[int]:
        assert self._lifelines is not None
        return (*self._lifelines.of(process), *self._held)

    def _on_change(self, restarter: Restarter) -> None:
        self._guard.tell(restarter)
        self._changed()
