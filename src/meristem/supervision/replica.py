"""One replica of a process, as its supervisor starts and finds it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from meristem.supervision.child import Child, Command
from meristem.supervision.lifeline import LIFELINE, variable
from meristem.supervision.readiness import answers
from meristem.system.addresses import label_of, socket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.supervision.confinement import Confinement

RUN: Final = "MERISTEM_RUN"
ADDRESS: Final = "MERISTEM_ADDRESS"
PUBLIC_FD: Final = "MERISTEM_PUBLIC_FD"
INSTANCE: Final = "MERISTEM_INSTANCE"
LOOK: Final = 0.02  # seconds


class Arguments(Protocol):
    """The command line of a replica that is to listen on `listen`."""

    def __call__(self, process: str, replica: int, listen: str) -> Sequence[str]: ...


async def admitted(address: str) -> None:
    """In a replica: return once the socket that it listens on has the name that others know, by `Replica.admit`."""
    listens_there = Path(address.removeprefix("unix:")).exists
    while listens_there():  # noqa: ASYNC110 - another process renames it
        await asyncio.sleep(LOOK)


class ReplicaEnvironment(NamedTuple):
    """What every replica of a system is given.

    `descriptors` are those of its process, which it holds to its end; `confined` keeps one start of it, named by a
    text of its own, within the bounds of its process, if there are any.
    """

    run: Path
    directory: Path
    arguments: Arguments
    environment: Mapping[str, str]
    descriptors: Callable[[str], Sequence[int]]
    confined: Callable[[str, str], Confinement | None] = lambda _process, _name: None


class Replica:
    """Listens on a socket of its own generation, which takes the name that others know once it is ready.

    So a successor gets ready beside its predecessor, and the name changes hands in one step. `MERISTEM_INSTANCE`
    names who holds a lease: a replica that died comes back under its name and takes its leases up at once; two that
    live beside each other never have the same.
    """

    def __init__(self, process: str, replica: int, around: ReplicaEnvironment, public: int | None) -> None:
        self.process = process
        self.replica = replica
        self.label = label_of(process, replica)
        self._socket = socket_of(around.run, process, replica)
        self.address = f"unix:{self._socket}"
        self._around = around
        self._public = public
        self._twin = False
        self._admitted = 0

    def command(self, generation: int, *, successor: bool) -> Command:
        self._twin ^= successor
        around = self._around
        descriptors = [*around.descriptors(self.process)]
        environment = {**around.environment, INSTANCE: f"{self.label}-twin" if self._twin else self.label}
        environment[LIFELINE] = variable(descriptors)
        if self._public is not None:
            environment[PUBLIC_FD] = str(self._public)
            descriptors.append(self._public)
        arguments = around.arguments(self.process, self.replica, f"unix:{self._own(generation)}")
        return Command(
            arguments,
            environment=environment,
            directory=around.directory,
            descriptors=descriptors,
            confinement=around.confined(self.process, f"{self.label}-{generation}"),
            beats=True,
        )

    async def ready(self, generation: int) -> bool:
        return await answers(f"unix:{self._own(generation)}", "/health/ready")

    async def lives(self, child: Child) -> bool:
        return child.has_beaten

    def admit(self, generation: int) -> None:
        self._own(generation).replace(self._socket)
        self._admitted = generation

    def dismiss(self, generation: int) -> None:
        self._own(generation).unlink(missing_ok=True)
        if self._admitted == generation:
            self._socket.unlink(missing_ok=True)  # so that callers see at once that the replica is gone

    def _own(self, generation: int) -> Path:
        return self._socket.with_suffix(f".{generation}.sock")
