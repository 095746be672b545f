"""The programs of a system, in any language: started beside its services, kept alive, ended with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meristem.discovery.environment import url_variable
from meristem.supervision.child import Child, Command
from meristem.supervision.guard import OF_PROGRAMS, OrphanGuard
from meristem.supervision.ports import free_port
from meristem.supervision.readiness import answers
from meristem.supervision.restarter import Restarter, together
from meristem.supervision.restarts import Restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from meristem.system.plan import ProgramPlan

GRACE: Final = 10.0  # seconds for a program to end by itself
OURS: Final = "MERISTEM_"  # variables that are not for strangers: one of them is the system's secret


def program_ports(programs: Sequence[ProgramPlan]) -> dict[str, int]:
    """The port of each program: its own `PORT`, or else a free one."""
    return {each.name: int(each.environment.get("PORT") or free_port()) for each in programs}


def program_urls(ports: Mapping[str, int]) -> dict[str, str]:
    """What others find in their environment: `RATINGS_URL` of every program."""
    return {url_variable(name): f"http://127.0.0.1:{port}" for name, port in ports.items()}


class _ProgramRun:
    """A program as its restarter sees it."""

    def __init__(self, plan: ProgramPlan, port: int, environment: Mapping[str, str], directory: Path) -> None:
        self.label = plan.name
        self.address = f"tcp://127.0.0.1:{port}"
        self._plan = plan
        self._environment = {**environment, **plan.environment, "PORT": str(port)}
        self._directory = directory

    def command(self, generation: int, *, successor: bool) -> Command:  # noqa: ARG002 - each start is the same
        return Command(self._plan.command, environment=self._environment, directory=self._directory, whole=True)

    async def ready(self, generation: int) -> bool:  # noqa: ARG002
        return self._plan.health is None or await answers(self.address, self._plan.health)

    async def lives(self, child: Child) -> bool:  # noqa: ARG002 - it has no heart, but perhaps a path for its health
        return self._plan.health is None or await answers(self.address, self._plan.health)

    def admit(self, generation: int) -> None:
        """It is found by its port."""

    def dismiss(self, generation: int) -> None:
        """It leaves nothing."""


class Programs:
    """Starts the programs of a plan; none outlives this process, even when it is killed.

    `environment` is what they are given beside `PORT`. `wrote` gets what they write, `say` what happens to them.
    `held` are descriptors that stay open until they have ended, also after this process.
    """

    def __init__(
        self,
        programs: Sequence[ProgramPlan],
        ports: Mapping[str, int],
        *,
        environment: Mapping[str, str],
        directory: Path,
        wrote: Callable[[str, bytes], None],
        say: Callable[[str], None],
        changed: Callable[[Restarter], None] = lambda _: None,
        held: Sequence[int] = (),
        restarts: Restarts | None = None,
    ) -> None:
        given = {name: value for name, value in environment.items() if not name.startswith(OURS)}
        self._changed = changed
        self._guard = OrphanGuard(OF_PROGRAMS, asks=True, held=held)
        policy = restarts or Restarts(grace=GRACE)
        self.restarters = [
            Restarter(
                _ProgramRun(each, ports[each.name], given, directory),
                policy,
                wrote=wrote,
                say=say,
                changed=self._on_change,
            )
            for each in programs
        ]

    async def start(self) -> None:
        """Return when each is ready; raises StartError."""
        if not self.restarters:
            return
        await self._guard.start()
        await together(each.start() for each in self.restarters)

    async def replace(self) -> None:
        """Start each anew, one after the other."""
        for restarter in self.restarters:
            await restarter.replace(beside=False)

    async def drain(self) -> None:
        """End them: they may call the services, which end after them."""
        await asyncio.gather(*(each.stop() for each in self.restarters))

    async def stop(self) -> None:
        await self.drain()
        await self._guard.stop()

    def kill(self) -> None:
        """End them at once."""
        for restarter in self.restarters:
            restarter.kill()

    def _on_change(self, restarter: Restarter) -> None:
        self._guard.tell(restarter)
        self._changed(restarter)
