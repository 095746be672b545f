"""The programs of a system, in any language: started beside its services, kept alive, ended with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError
from meristem.lifecycle import together
from meristem.supervision.child import Child, Command
from meristem.supervision.guard import OF_PROGRAMS, OrphanGuard
from meristem.supervision.health_checks import HealthCheck, health_check
from meristem.supervision.ports import is_taken
from meristem.supervision.restartable import NO_SIGN
from meristem.supervision.restarter import Restarter
from meristem.supervision.restarts import Restarts
from meristem.supervision.start_order import start_in_order, stop_in_order, without_circles
from meristem.system.addresses import LOOPBACK, label_of_program
from meristem.system.program_templates import filled_in, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from meristem.system.plan import ProgramPlan

GRACE: Final = 10.0  # seconds for a program to end by itself
OURS: Final = "MERISTEM_"


class ProgramReplica:
    """One replica of a program, as its restarter sees it."""

    tells = False
    silence = NO_SIGN

    def __init__(
        self, plan: ProgramPlan, replica: int, port: int, check: HealthCheck, around: ProgramEnvironment
    ) -> None:
        self.program = plan.name
        self.replica = replica
        self.label = label_of_program(plan, replica)
        self.address = f"tcp://{LOOPBACK}:{port}"
        self._port = port
        self._check = check
        self._arguments = [filled_in(each, port, around.addresses) for each in plan.command]
        own = {name: filled_in(text, port, around.addresses) for name, text in plan.environment.items()}
        self._environment = {**around.environment, **own, "PORT": str(port)}
        self._directory = around.directory / (plan.folder or "")

    def command(self, generation: int, *, successor: bool) -> Command:  # noqa: ARG002 - each start is the same
        return Command(self._arguments, environment=self._environment, directory=self._directory, whole=True)

    async def ready(self, generation: int) -> bool:  # noqa: ARG002
        return await self._check(self._port)

    async def lives(self, child: Child) -> bool:  # noqa: ARG002 - it has no heart, but perhaps a probe
        return await self._check(self._port)

    def admit(self, generation: int) -> None:
        """It is found by its port."""

    def withdraw(self, generation: int) -> None:
        """Its port is its own."""

    def hold(self, generation: int) -> None:
        """Nobody else has its port: who calls it is refused until it is back."""

    def dismiss(self, generation: int) -> None:
        """It leaves nothing."""


def is_for_strangers(variable: str) -> bool:
    """Whether a variable is for what is no process of ours: one of the others is the system's secret."""
    return not variable.startswith(OURS)


class ProgramEnvironment(msgspec.Struct, frozen=True):
    """What all programs are given: their environment, the addresses of all parts by name, and the project's folder."""

    environment: Mapping[str, str]
    addresses: Mapping[str, str]
    directory: Path


class Programs:
    """Starts the programs of a plan; none outlives this process, even when it is killed.

    `around` is what they are given beside `PORT`. `wrote` gets what they write, `say` what happens to them. `held` are
    descriptors that stay open until they have ended, also after this process.
    """

    def __init__(
        self,
        programs: Sequence[ProgramPlan],
        ports: Mapping[str, Sequence[int]],
        around: ProgramEnvironment,
        *,
        wrote: Callable[[str, bytes], None],
        say: Callable[[str], None],
        changed: Callable[[Restarter], None] = lambda _: None,
        held: Sequence[int] = (),
        restarts: Restarts | None = None,
    ) -> None:
        given = {name: value for name, value in around.environment.items() if is_for_strangers(name)}
        around = msgspec.structs.replace(around, environment=given)
        self._programs = {each.name: each for each in programs}
        self._directory = around.directory
        self._ports = ports
        self._changed = changed
        self._guard = OrphanGuard(OF_PROGRAMS, asks=True, held=held)
        policy = restarts or Restarts()
        # A probe may well pass for a moment in what ends again and again.
        policy = msgspec.structs.replace(policy, grace=GRACE, probation=policy.calm)
        self.kept: list[tuple[ProgramReplica, Restarter]] = []
        for plan in programs:
            check = health_check(plan)
            for number, port in enumerate(ports[plan.name]):
                replica = ProgramReplica(plan, number, port, check, around)
                restarter = Restarter(replica, policy, wrote=wrote, say=say, changed=self._on_change)
                self.kept.append((replica, restarter))

    async def prepare(self) -> None:
        """Before any is started; raises ConfigurationError for a folder that is missing or a port that is taken."""
        for program in self._programs.values():
            self._check(program)
        if self._programs:
            await self._guard.start()

    def of(self, name: str) -> list[Restarter]:
        """Who keeps the replicas of a program."""
        return [restarter for replica, restarter in self.kept if replica.program == name]

    async def close(self) -> None:
        """When all have ended."""
        await self._guard.stop()

    def kill(self) -> None:
        """End them at once."""
        for _, restarter in self.kept:
            restarter.kill()

    def _check(self, program: ProgramPlan) -> None:
        folder = self._directory / (program.folder or "")
        if not folder.is_dir():
            raise ConfigurationError(f"program {program.name!r}: there is no folder {folder}")
        # Else its probe would be answered by whoever listens there.
        if program.port is not None and is_taken(program.port):
            raise ConfigurationError(
                f"program {program.name!r}: another program listens at port {program.port}; end that, or choose another"
            )

    def _on_change(self, restarter: Restarter) -> None:
        self._guard.tell(restarter)
        self._changed(restarter)


class ProgramGroup:
    """Some of the programs, which start and end together beside a process that nobody supervises."""

    def __init__(self, programs: Programs, plans: Sequence[ProgramPlan]) -> None:
        self._programs = programs
        names = {each.name for each in plans}
        self._waits = without_circles({each.name: named(each) & names for each in plans})

    async def start(self) -> None:
        """Return when each is ready, those first that others name; raises StartError."""
        await start_in_order(self._waits, self._start)

    async def drain(self) -> None:
        """End them: they may call what ends after them."""
        await stop_in_order(self._waits, self._stop)

    async def stop(self) -> None:
        await self.drain()

    async def _start(self, name: str) -> None:
        await together(each.start() for each in self._programs.of(name))

    async def _stop(self, name: str) -> None:
        await together(each.stop() for each in self._programs.of(name))
