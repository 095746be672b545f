"""Supervises the processes of a placed system on one host: starts, watches, renews and ends them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from meristem.errors import CallError
from meristem.lifecycle import together
from meristem.operators.server import OperatorServer
from meristem.supervision.announcer import Announcer
from meristem.supervision.changes import RunChanges
from meristem.supervision.confinement import confinements
from meristem.supervision.foreign_app import ForeignApp, ForeignReplica
from meristem.supervision.grpc_name import GrpcName
from meristem.supervision.guard import PATIENCE, OrphanGuard
from meristem.supervision.lifeline import Lifelines
from meristem.supervision.overview import Supervised, SupervisedPart, program_parts, row
from meristem.supervision.ports import Ports, program_ports
from meristem.supervision.process_replicas import ProcessReplicas
from meristem.supervision.programs import ProgramEnvironment, Programs
from meristem.supervision.replica import ADDRESS, RUN, Replica, ReplicaEnvironment
from meristem.supervision.restarter import Restarter
from meristem.supervision.restarts import Restarts
from meristem.supervision.start_order import in_order, start_in_order, stop_in_order, waits
from meristem.supervision.succession import succeed
from meristem.supervision.supervision_desk import SupervisionDesk
from meristem.system.addresses import (
    FOREIGN,
    app_addresses,
    base_address,
    called_by_grpc,
    edge,
    environment_for,
    grpc_socket_of,
    part_addresses,
    program_addresses,
    run_directory,
    writers,
)
from meristem.system.state_directory import SECRET, prepare_run_directory, remove_run_directory
from meristem.system.system_status import ReplicaStatus, SystemStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from meristem.operators.observatory import Observatory
    from meristem.supervision.changes import RunChange
    from meristem.supervision.console import LineWriter
    from meristem.supervision.replica import Arguments
    from meristem.supervision.workplace import Workplace
    from meristem.system.plan import Plan, ProcessPlan

NAME: Final = "meristem"  # the label of the supervisor's own lines


class Supervisor:
    """Keeps every process and program of a plan alive between `start` and `stop`.

    `arguments` gives the command line of a replica, `environment` is what all inherit; `foreign` are the apps whose
    interpreters have no Meristem. Replicas that live on for `orphans` seconds when this process was killed are made to
    end.
    """

    def __init__(
        self,
        plan: Plan,
        place: Workplace,
        *,
        arguments: Arguments,
        console: LineWriter,
        environment: Mapping[str, str],
        restarts: Restarts | None = None,
        orphans: float = PATIENCE,
        external: Mapping[str, str] | None = None,
        foreign: Mapping[str, ForeignApp] | None = None,
    ) -> None:
        self.plan = plan
        self.address = ""
        self.run = run_directory(place.state.path, plan)
        self.operators: OperatorServer | None = None
        self._place = place
        self._arguments = arguments
        self._console = console
        self._environment = environment
        self._restarts = restarts or Restarts()
        self._guard = OrphanGuard(orphans)
        self._waits = waits(plan)
        self._ports = Ports()
        self._lifelines: Lifelines | None = None
        self._processes: ProcessReplicas | None = None
        self._programs: Programs | None = None
        self._announcer = Announcer(place.state, self._status, self.say)
        self._changes = RunChanges(say=self.say, changed=self._announcer.soon)
        self._desk = SupervisionDesk(self, self._changes, place.single)
        self._external = dict(external or {})
        self._foreign = foreign or {}
        self._addresses: Mapping[str, str] = {}
        self._observatory: Observatory | None = None
        self._writers = writers(plan)
        self._takers: dict[str, Callable[[bytes], None]] = {}  # by label, for the many lines that a busy process writes
        self._began = time.time()
        self._claimed = self._prepared = False

    async def start(self) -> None:
        """Return when everything is ready.

        Raises StartError when a part cannot start, OperationError when the system runs already, ConfigurationError
        when a port is taken.
        """
        self._place.state.prepare()
        self._place.state.claim()
        self._claimed = True
        self._announcer.start()
        await succeed(self._place.state, self.run, self.say)
        # The supervisor itself holds the ports: a replica inherits its socket, so none is lost when it is replaced.
        self.plan = self._ports.open(self.plan, self._place.host, self._place.port)
        self.address = base_address(self._place.host, edge(self.plan).port or 0, secure=self._place.secure)
        prepare_run_directory(self.run)  # now that nothing can keep this run from following
        self._prepared = True
        await self._admit_operators()
        await self._guard.start()
        processes = {each.name for each in self.plan.processes}
        # Children end when they break: also when this process is killed.
        self._lifelines = Lifelines({name: self._waits[name] & processes for name in processes})
        ports = program_ports(self.plan.programs)
        self._addresses = part_addresses(self.plan, self.address, ports)
        around = self._surroundings(ports)
        plans = {each.name: each for each in self.plan.processes}
        self._processes = ProcessReplicas(
            self.plan, self.run, lambda name, index: self._restarter(self._replica(plans[name], index, around))
        )
        self._programs = self._programs_at(ports)
        await self._programs.prepare()
        await start_in_order(self._waits, self._start_part)

    def _replica(self, process: ProcessPlan, index: int, around: ReplicaEnvironment) -> Replica:
        name = process.name
        if name in self._foreign:
            # The addresses of services, too, which a process of ours finds in another way.
            everywhere = {**environment_for(self._addresses), **around.environment}
            return ForeignReplica(name, index, around._replace(environment=everywhere), self._foreign[name])
        known = GrpcName(grpc_socket_of(self.run, name, index)) if called_by_grpc(process, self.plan) else None
        return Replica(name, index, around, self._ports.descriptor(name), self._ports.grpc(name), known)

    async def _admit_operators(self) -> None:
        """Before anything runs: what does not get ready can be looked at, too."""
        sign = self._place.state.tokens(self._environment).prove
        overview = Supervised(self.plan, self._place.parts, self._parts, self.address, sign, self._desk)
        dashboard = None if self._place.dashboard is None else self._place.dashboard(overview)
        if dashboard is not None:
            self._observatory = dashboard.observatory
        wanted = self._place.operators.and_socket(self.run)
        self.operators = OperatorServer(overview, wanted, dashboard)
        await self.operators.start()

    def _surroundings(self, ports: Mapping[str, Sequence[int]]) -> ReplicaEnvironment:
        environment = {
            **environment_for(program_addresses(ports) | app_addresses(self.plan, self.address)),
            **self._environment,
            SECRET: self._place.state.secret(self._environment),
            RUN: str(self.run),
            ADDRESS: self.address,
            FOREIGN: ",".join(self._foreign),
            "PYTHONUNBUFFERED": "1",
        }
        return ReplicaEnvironment(
            self.run,
            self._place.directory,
            self._arguments,
            environment,
            self._descriptors,
            confinements(self.plan, self.say),
            self._restarts.away,
        )

    def _descriptors(self, process: str) -> Sequence[int]:
        """What a replica of a process holds to its end."""
        assert self._lifelines is not None
        return (*self._lifelines.of(process), *self._presence())

    def _presence(self) -> Sequence[int]:
        descriptor = self._place.state.presence.descriptor
        return () if descriptor is None else (descriptor,)

    def _restarter(self, replica: Replica) -> Restarter:
        self._writers[replica.label] = replica.process, replica.replica
        return Restarter(
            replica,
            self._restarts,
            wrote=self._write,
            say=self.say,
            changed=self._on_change,
            relieved=lambda: self._processes is not None and self._processes.others_run(replica),
        )

    def _on_change(self, restarter: Restarter) -> None:
        self._guard.tell(restarter)
        self._announcer.soon()

    def _programs_at(self, ports: Mapping[str, Sequence[int]]) -> Programs:
        environment = {**environment_for(self._addresses), **self._environment}
        return Programs(
            self.plan.programs,
            ports,
            ProgramEnvironment(environment, self._addresses, self._place.directory),
            wrote=self._write,
            say=self.say,
            changed=lambda _: self._announcer.soon(),
            restarts=self._restarts,
            held=(*self._lifelines.of_all, *self._presence()) if self._lifelines is not None else (),
        )

    async def _start_part(self, name: str) -> None:
        await together(restarter.start() for restarter in self._kept(name))

    async def _stop_part(self, name: str) -> None:
        await together(restarter.stop() for restarter in self._kept(name))

    def _kept(self, name: str) -> list[Restarter]:
        """Who keeps the replicas of a process or program."""
        processes = [] if self._processes is None else self._processes.of(name)
        return processes or ([] if self._programs is None else self._programs.of(name))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many replicas there are of each process and program."""
        return {name: len(self._kept(name)) for name in self._waits}

    def all_parts(self) -> list[str]:
        """Processes and programs, those first that others call."""
        return list(in_order(self._waits))

    def reload(self) -> None:
        """Start every process anew, one replica after the other, the new one before the old one ends.

        No request is lost and capacity stays what it was.
        """
        try:
            self._desk.begin_restart_of_all()
        except CallError as error:
            self.say(error.message)

    async def replace(self, names: Iterable[str], change: RunChange) -> None:
        """Start those processes and programs anew."""
        beside = {process.name for process in self.plan.processes if process.overlap}
        for name in names:
            for restarter in self._kept(name):
                await restarter.replace(beside=name in beside)
                change.done += 1

    async def scale(self, process: str, count: int, change: RunChange) -> None:
        """Have so many replicas of a process until the run ends."""
        assert self._processes is not None  # it has been asked how many there are

        def through() -> None:
            change.done += 1
            self._announcer.soon()

        await self._processes.scale(process, count, through)

    async def drain(self) -> None:
        """Nothing to do: each process drains when it is asked to end."""

    async def stop(self) -> None:
        """End everything in reverse order and free what is held."""
        await self._changes.stop()
        await stop_in_order(self._waits, self._stop_part)
        if self._programs is not None:
            await self._programs.close()
        await self._guard.stop()
        if self.operators is not None:
            await self.operators.stop()
        self._ports.close()
        if self._lifelines is not None:
            self._lifelines.close()
            self._lifelines = None
        if self._prepared:
            remove_run_directory(self.run)
            self._prepared = False
        self._announcer.stop()
        if self._claimed:
            self._place.state.release()
            self._claimed = self._prepared = False

    def kill(self) -> None:
        """End everything at once, whatever is in flight."""
        if self._processes is not None:
            self._processes.kill()
        if self._programs is not None:
            self._programs.kill()

    def say(self, message: str) -> None:
        """Write a line of the supervisor's own."""
        for line in message.splitlines():
            self._write(NAME, line.encode())

    def _write(self, label: str, line: bytes) -> None:
        """A line for the screen, and for who looks back on it."""
        self._console.write(label, line)
        take = self._takers.get(label)
        if take is None:
            if self._observatory is None:
                return
            take = self._takers[label] = self._observatory.lines_of(*self._writers.get(label, (label, 0))).line
        take(line)

    def statuses(self) -> list[ReplicaStatus]:
        """What runs and how it fares."""
        return [row(part) for part in self._parts()]

    def _parts(self) -> list[SupervisedPart]:
        processes = [] if self._processes is None else self._processes.parts()
        return processes if self._programs is None else [*processes, *program_parts(self._programs)]

    def _status(self) -> SystemStatus:
        place = self._place
        return SystemStatus(
            os.getpid(),
            self.address,
            self._began,
            tuple(self.statuses()),
            () if self.operators is None else self.operators.addresses,
            self._changes.reload,
            self._external,
            placement=None if place.placement is None else str(place.placement),
        )
