"""One replica of a process, as its supervisor starts and finds it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from meristem.supervision.child import Child, Command
from meristem.supervision.lifeline import LIFELINE, variable
from meristem.supervision.listening_socket import ListeningSocket
from meristem.supervision.readiness import answers
from meristem.supervision.restartable import NO_SIGN
from meristem.supervision.restarts import Restarts
from meristem.system.addresses import label_of, socket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.supervision.confinement import Confinement
    from meristem.supervision.grpc_name import GrpcName

RUN: Final = "MERISTEM_RUN"
ADDRESS: Final = "MERISTEM_ADDRESS"
PUBLIC_FD: Final = "MERISTEM_PUBLIC_FD"
GRPC: Final = "MERISTEM_GRPC"
GRPC_SOCKET: Final = "MERISTEM_GRPC_SOCKET"
INSTANCE: Final = "MERISTEM_INSTANCE"
LOOK: Final = 0.02  # seconds


class Arguments(Protocol):
    """The command line of a replica that is to listen on `listen`."""

    def __call__(self, process: str, replica: int, listen: str) -> Sequence[str]: ...


async def admitted(descriptor: int) -> None:
    """In a replica: return once the socket that it inherited has the name that others know, by `Replica.admit`."""
    with socket.socket(fileno=os.dup(descriptor)) as inherited:
        is_apart = Path(inherited.getsockname()).exists  # the name that it was bound to
    while is_apart():  # noqa: ASYNC110 - another process renames it
        await asyncio.sleep(LOOK)


class ReplicaEnvironment(NamedTuple):
    """What every replica of a system is given.

    `descriptors` are those of its process, which it holds to its end; `confined` keeps one start of it, named by a
    text of its own, within the bounds of its process, if there are any. While a replica is away, those who call it wait
    for the next one, `away` seconds at most.
    """

    run: Path
    directory: Path
    arguments: Arguments
    environment: Mapping[str, str]
    descriptors: Callable[[str], Sequence[int]]
    confined: Callable[[str, str], Confinement | None] = lambda _process, _name: None
    away: float = Restarts().away


class Replica:
    """Listens on a socket of its own line, which takes the name that others know once it is ready.

    So a successor gets ready beside its predecessor, and the name changes hands in one step. One that is started again
    after its end has the socket of the one before: its callers have waited there. `MERISTEM_INSTANCE` names who holds
    a lease: a replica that died comes back under its name and takes its leases up at once; two that live beside each
    other never have the same.
    """

    tells = True

    def __init__(
        self,
        process: str,
        replica: int,
        around: ReplicaEnvironment,
        public: int | None,
        grpc: str | None = None,
        grpc_name: GrpcName | None = None,
    ) -> None:
        self.process = process
        self.replica = replica
        self.label = label_of(process, replica)
        self._name = socket_of(around.run, process, replica)
        self.address = f"unix:{self._name}"
        self._around = around
        self._public = public
        self._grpc = grpc  # `host:port`, which all replicas share
        self._grpc_name = grpc_name  # where services of the process are called by gRPC
        self.silence = NO_SIGN
        self._twin = False
        self._sockets: dict[int, ListeningSocket] = {}  # by generation
        self._named: ListeningSocket | None = None
        self._held: int | None = None  # the generation whose socket the next one takes over
        self._expiry: asyncio.TimerHandle | None = None

    def command(self, generation: int, *, successor: bool) -> Command:
        self._twin ^= successor
        around = self._around
        listening = self._sockets[generation] = self._socket_for(generation)
        descriptors = [*around.descriptors(self.process)]
        environment = {**around.environment, INSTANCE: f"{self.label}-twin" if self._twin else self.label}
        environment[LIFELINE] = variable(descriptors)
        descriptors += listening.descriptors
        if self._public is not None:
            environment[PUBLIC_FD] = str(self._public)
            descriptors.append(self._public)
        if self._grpc is not None:
            environment[GRPC] = self._grpc
        if self._grpc_name is not None:
            environment[GRPC_SOCKET] = str(self._grpc_name.own(generation))
        return Command(
            around.arguments(self.process, self.replica, listening.address),
            environment=environment,
            directory=around.directory,
            descriptors=descriptors,
            confinement=around.confined(self.process, f"{self.label}-{generation}"),
            beats=True,
        )

    def _socket_for(self, generation: int) -> ListeningSocket:
        former, self._held = self._held, None
        found = None if former is None else self._sockets.pop(former, None)
        return found or ListeningSocket(self._name.with_suffix(f".{generation}.sock"))

    def socket(self, generation: int) -> Path:
        """Where one that was started is asked, under whichever name it has by now."""
        listening = self._sockets[generation]
        return self._name if listening is self._named else listening.path

    async def ready(self, generation: int) -> bool:
        return await answers(f"unix:{self.socket(generation)}", "/health/ready")

    async def lives(self, child: Child) -> bool:
        is_found = self._named is None or self._name.exists()
        self.silence = NO_SIGN if is_found else f"nobody finds it, for its socket {self._name} was removed,"
        return child.has_beaten and is_found

    def admit(self, generation: int) -> None:
        self._hold_no_more()
        listening = self._sockets[generation]
        if listening is not self._named:
            with contextlib.suppress(FileNotFoundError):  # removed by somebody: it is found by nobody, as `lives` sees
                listening.path.replace(self._name)
            self._named = listening
        if self._grpc_name is not None:
            self._grpc_name.admit(generation)

    def hold(self, generation: int) -> None:
        listening = self._sockets.get(generation)
        if listening is None or listening is not self._named or not self._name.exists():
            self.dismiss(generation)
            return
        if self._grpc_name is not None:
            self._grpc_name.dismiss(generation)
        self._held = generation
        if self._expiry is None:  # counted from the first end, however often it ends before it is ready
            self._expiry = asyncio.get_running_loop().call_later(self._around.away, self._expire)

    def withdraw(self, generation: int) -> None:
        listening = self._sockets.get(generation)
        if listening is not None and listening is self._named:
            with contextlib.suppress(FileNotFoundError):  # removed by somebody
                self._name.replace(listening.path)  # not removed: a socket without a name could never have one again
            self._named = None
            if self._grpc_name is not None:
                self._grpc_name.withdraw()

    def dismiss(self, generation: int) -> None:
        self._hold_no_more()
        self.withdraw(generation)
        if self._grpc_name is not None:
            self._grpc_name.dismiss(generation)
        if (listening := self._sockets.pop(generation, None)) is not None:
            listening.close()

    def _expire(self) -> None:
        """It takes too long: callers learn at once that it is away, also those who come from now on."""
        for generation, listening in self._sockets.items():
            if listening is self._named:
                self.withdraw(generation)
                listening.refuse()
                break

    def _hold_no_more(self) -> None:
        self._held = None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
