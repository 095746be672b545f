"""Supervises the processes of a placed system on one host: starts, watches, renews and ends them."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from meristem.discovery.environment import url_variable
from meristem.operators.server import OperatorAddresses, OperatorServer
from meristem.supervision.confinement import Confinement, Means
from meristem.supervision.guard import PATIENCE, OrphanGuard
from meristem.supervision.lifeline import Lifelines
from meristem.supervision.overview import Supervised, SupervisedPart
from meristem.supervision.ports import Ports
from meristem.supervision.programs import GRACE, Programs, program_ports, program_urls
from meristem.supervision.replica import ADDRESS, RUN, Replica, ReplicaEnvironment
from meristem.supervision.restartable import StartError
from meristem.supervision.restarter import Restarter, together
from meristem.supervision.restarts import Restarts
from meristem.supervision.start_order import waits
from meristem.supervision.succession import succeed
from meristem.system.addresses import app_addresses, base_address, edge, environment_for, run_directory
from meristem.system.state_directory import (
    SECRET,
    ReloadStatus,
    ReplicaStatus,
    SystemStatus,
    prepare_run_directory,
    remove_run_directory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from meristem.supervision.console import LineWriter
    from meristem.supervision.replica import Arguments
    from meristem.system.plan import Plan
    from meristem.system.state_directory import StateDirectory

NAME: Final = "meristem"  # the label of the supervisor's own lines


class Workplace(NamedTuple):
    """Where the supervisor works: the system's state directory, the project's folder, the public host and port.

    `operators` is where those read, besides a socket among those of the system.
    """

    state: StateDirectory
    directory: Path
    host: str = "127.0.0.1"
    port: int = 8000
    operators: OperatorAddresses = OperatorAddresses()


class Supervisor:
    """Keeps every process and program of a plan alive between `start` and `stop`.

    `arguments` gives the command line of a replica, `environment` is what all inherit. Replicas that live on for
    `orphans` seconds when this process was killed are made to end.
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
        self._restarters: dict[str, list[Restarter]] = {}
        self._programs: Programs | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._reload_status: ReloadStatus | None = None
        self._began = time.time()
        self._announcing = False
        self._claimed = self._prepared = False

    async def start(self) -> None:
        """Return when everything is ready.

        Raises StartError when a part cannot start, OperationError when the system runs already, ConfigurationError
        when a port is taken.
        """
        self._place.state.prepare()
        self._place.state.claim()
        self._claimed = True
        await succeed(self._place.state, self.run, self.say)
        # The supervisor itself holds the ports: a replica inherits its socket, so none is lost when it is replaced.
        self.plan = self._ports.open(self.plan, self._place.host, self._place.port)
        self.address = base_address(self._place.host, edge(self.plan).port or 0)
        prepare_run_directory(self.run)  # now that nothing can keep this run from following
        self._prepared = True
        await self._admit_operators()
        await self._guard.start()
        self._lifelines = Lifelines(self._waits)  # children end when they break: also when this process is killed
        ports = program_ports(self.plan.programs)
        around = self._surroundings(program_urls(ports))
        for process in self.plan.processes:
            public = self._ports.descriptor(process.name)
            replicas = [Replica(process.name, index, around, public) for index in range(process.replicas)]
            self._restarters[process.name] = [self._restarter(each) for each in replicas]
        await self._start_processes()
        self._programs = self._programs_at(ports)
        await self._programs.start()

    async def _admit_operators(self) -> None:
        """Before anything runs: what does not get ready can be looked at, too."""
        overview = Supervised(self.plan, self._parts, self.address)
        self.operators = OperatorServer(overview, self._place.operators.and_socket(self.run))
        await self.operators.start()

    def _surroundings(self, urls: Mapping[str, str]) -> ReplicaEnvironment:
        apps = {url_variable(name): url for name, url in app_addresses(self.plan, self.address).items()}
        environment = {
            **urls,
            **apps,
            **self._environment,
            SECRET: self._place.state.secret(self._environment),
            RUN: str(self.run),
            ADDRESS: self.address,
            "PYTHONUNBUFFERED": "1",
        }
        return ReplicaEnvironment(
            self.run, self._place.directory, self._arguments, environment, self._descriptors, self._confined()
        )

    def _confined(self) -> Callable[[str, str], Confinement | None]:
        """What bounds the starts of replicas; says how, where it is not done by the kernel alone."""
        bounds = {each.name: each.bounds for each in self.plan.processes if each.bounds}
        if not bounds:
            return lambda _process, _name: None
        means = Means.here()
        if means.problem:
            self.say(means.remark())
        prefix = f"meristem-{self.plan.system}-{os.getpid()}"
        return lambda process, name: (
            Confinement(f"{prefix}-{name.replace('/', '-')}", bounds[process], means) if process in bounds else None
        )

    def _descriptors(self, process: str) -> Sequence[int]:
        """What a replica of a process holds to its end."""
        assert self._lifelines is not None
        return (*self._lifelines.of(process), *self._presence())

    def _presence(self) -> Sequence[int]:
        descriptor = self._place.state.presence.descriptor
        return () if descriptor is None else (descriptor,)

    def _restarter(self, replica: Replica) -> Restarter:
        return Restarter(replica, self._restarts, wrote=self._console.write, say=self.say, changed=self._on_change)

    def _on_change(self, restarter: Restarter) -> None:
        self._guard.tell(restarter)
        self._announce_soon()

    def _programs_at(self, ports: Mapping[str, int]) -> Programs:
        urls = {**environment_for(self.plan, self.address), **program_urls(ports)}
        return Programs(
            self.plan.programs,
            ports,
            environment={**urls, **self._environment},
            directory=self._place.directory,
            wrote=self._console.write,
            say=self.say,
            changed=lambda _: self._announce_soon(),
            restarts=msgspec.structs.replace(self._restarts, grace=GRACE),
            held=(*self._lifelines.of_all, *self._presence()) if self._lifelines is not None else (),
        )

    async def _start_processes(self) -> None:
        ready = {name: asyncio.Event() for name in self._restarters}

        async def begin(name: str) -> None:
            for other in self._waits[name]:  # the processes that it calls; those that wait for none start together
                await ready[other].wait()
            await together(restarter.start() for restarter in self._restarters[name])
            ready[name].set()

        await together(begin(name) for name in self._restarters)

    def reload(self) -> None:
        """Start every process anew, one replica after the other, the new one before the old one ends.

        No request is lost and capacity stays what it was.
        """
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload(), name="reload")

    async def _reload(self) -> None:
        number = 1 if self._reload_status is None else self._reload_status.number + 1
        self._tell_reload(ReloadStatus(number))
        ended = ReloadStatus(number, ended=True, problem="it was broken off")
        try:
            ended = await self._replace_all(number)
        finally:
            self._tell_reload(ended)

    def _tell_reload(self, status: ReloadStatus) -> None:
        self._reload_status = status
        self._announce_soon()

    async def _replace_all(self, number: int) -> ReloadStatus:
        self.say("starting everything anew, one replica after the other")
        overlap = {process.name: process.overlap for process in self.plan.processes}
        try:
            for name in self._in_order():
                for restarter in self._restarters[name]:
                    await restarter.replace(beside=overlap[name])
            if self._programs is not None:
                await self._programs.replace()
        except StartError as error:  # what is wrong with one would be wrong with all of them
            self.say(f"the rest keeps running as it was: {error}")
            return ReloadStatus(number, ended=True, problem=str(error), lasting=error.lasting)
        self.say("everything has been started anew")
        return ReloadStatus(number, ended=True)

    def _in_order(self) -> Iterator[str]:
        """Process names, those who are called first."""
        left = dict(self._waits)
        while left:
            free = [name for name, others in left.items() if not others & left.keys()]
            yield from free
            for name in free:
                del left[name]

    async def drain(self) -> None:
        """Nothing to do: each process drains when it is asked to end."""

    async def stop(self) -> None:
        """End everything in reverse order and free what is held."""
        if self._reloading is not None:
            self._reloading.cancel()
            await asyncio.wait({self._reloading})
        if self._programs is not None:
            await self._programs.stop()
        await self._stop_processes()
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
        if self._claimed:
            self._place.state.release()
            self._claimed = self._prepared = False

    async def _stop_processes(self) -> None:
        ended = {name: asyncio.Event() for name in self._restarters}

        async def end(name: str) -> None:
            for other, gone in ended.items():  # its callers first: they may still need its answers to finish
                if name in self._waits[other]:
                    await gone.wait()
            await together(restarter.stop() for restarter in self._restarters[name])
            ended[name].set()

        await together(end(name) for name in self._restarters)

    def kill(self) -> None:
        """End everything at once, whatever is in flight."""
        for restarter in [each for restarters in self._restarters.values() for each in restarters]:
            restarter.kill()
        if self._programs is not None:
            self._programs.kill()

    def say(self, message: str) -> None:
        """Write a line of the supervisor's own."""
        for line in message.splitlines():
            self._console.write(NAME, line.encode())

    def statuses(self) -> list[ReplicaStatus]:
        """What runs and how it fares."""
        return [_row(part) for part in self._parts()]

    def _parts(self) -> list[SupervisedPart]:
        programs = [] if self._programs is None else self._programs.restarters
        replicas = [
            SupervisedPart(process, index, restarter)
            for process, restarters in self._restarters.items()
            for index, restarter in enumerate(restarters)
        ]
        return [*replicas, *(SupervisedPart(each.restartable.label, 0, each, program=True) for each in programs)]

    def _announce_soon(self) -> None:
        if not self._announcing:
            self._announcing = True
            asyncio.get_running_loop().call_soon(self._announce)

    def _announce(self) -> None:
        self._announcing = False
        if self._claimed:
            operators = () if self.operators is None else self.operators.addresses
            self._place.state.announce(
                SystemStatus(
                    os.getpid(), self.address, self._began, tuple(self.statuses()), operators, self._reload_status
                )
            )


def _row(part: SupervisedPart) -> ReplicaStatus:
    kept = part.restarter
    address, state = kept.restartable.address, kept.state.value
    return ReplicaStatus(part.process, part.replica, kept.pid, state, kept.restarts, kept.since, address)
