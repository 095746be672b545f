"""How a system and its parts fare, as its operators read it, and what is asked for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from meristem.operators.operator_contract import MapEdge, MapNode

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

READY: Final = "ready"
NOT_READY: Final = "not ready"
DRAINING: Final = "draining"
SILENT: Final = "silent"


class InstanceHealth(msgspec.Struct, frozen=True):
    """One replica of a process, or a program.

    `status` is `starting`, `ready`, `unready` (it runs, and something that it needs is gone), `draining`, `waiting` (it
    died and is started again soon), `failing` (it ends again and again), `stopped`, or `silent`: it runs and does not
    answer. `problem` says how that showed, or what is wrong though it is ready. `since` is when the process or, where
    it is supervised, its state began, in seconds since 1970. `address` is where it answers others.
    """

    process: str
    replica: int
    status: str
    pid: int | None
    restarts: int
    since: float
    address: str | None = None
    services: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    problem: str | None = None


class SystemHealth(msgspec.Struct, frozen=True):
    """A system: it is `ready` when every part is; `pid` is of the process that runs it, `address` is the public one."""

    system: str
    status: str
    pid: int
    address: str | None
    since: float
    processes: tuple[InstanceHealth, ...]
    programs: tuple[InstanceHealth, ...] = ()


class SystemParts(NamedTuple):
    """What a system consists of and who is to talk to whom, without any figures."""

    nodes: Sequence[MapNode]
    edges: Sequence[MapEdge]
    has_gateway: bool = False


class Instance(Protocol):
    """One replica of a process, or a program, that can be asked; `restarts` are starts that nobody asked for."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What tells it from others: `process` and `replica`, or `program`."""
        ...

    @property
    def services(self) -> Sequence[str]:
        """The services that live in it."""
        ...

    @property
    def restarts(self) -> int: ...

    async def health(self) -> InstanceHealth:
        """How it fares; raises nothing."""
        ...

    async def figures(self, media: str) -> str | None:
        """Its `/metrics` as a media type, None where it has none; raises OSError when it does not answer in time."""
        ...

    async def passing(self, after: str) -> str | None:
        """What passes of events in it since the look that told `after`, as JSON; as `figures`."""
        ...

    async def ask(self, operation: Operation, request: Any) -> Any:
        """What it answers to an operation that processes have for operators.

        Raises TimeoutError when it does not answer in time, another OSError when it was not reached, and CallError for
        what it refuses.
        """
        ...


class Overview(Protocol):
    """The system whose operators ask: `instances` are its parts of now, `parts` what it consists of by its plan.

    `supervision` answers the contract `ProcessControl`.
    """

    parts: SystemParts
    supervision: object
    system: str
    pid: int
    since: float
    address: str | None

    def instances(self) -> Sequence[Instance]: ...
