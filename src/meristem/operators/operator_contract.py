"""The operator contract: what operators see of a running system, for the command, the dashboard and programs."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.operators.load_views import BacklogPoint, LoadPoint, ProcessLoad, ReplicaHistory
from meristem.operators.route_views import DurationCount, RoutePoint
from meristem.operators.search_bounds import Most, RowNumber, SoughtText

NodeKind: TypeAlias = Literal["service", "app", "program", "external", "database", "bus", "outside"]
EdgeKind: TypeAlias = Literal["call", "event", "data"]


class Figures(Message):
    """What happened in the last `seconds`: calls a second, the share that failed, durations in seconds.

    `p50` and `p99` are None where nothing was called.
    """

    seconds: float = 0.0
    rate: float = 0.0
    failed: float = 0.0
    p50: float | None = None
    p99: float | None = None
    in_flight: int = 0


class MapNode(Message):
    """Something that a system consists of or relies on; `id` is its kind and name: `service:stock`.

    `status` is that of its process (`ready`, `starting`, `silent`, …), empty where nothing here can tell. `ready` of
    its `replicas` are. A database has its kind and place as `detail`, a program its command.
    """

    id: str
    kind: NodeKind
    name: str
    process: str = ""
    status: str = ""
    replicas: int = 0
    ready: int = 0
    detail: str = ""
    figures: Figures | None = None


class MapEdge(Message):
    """What goes from one node to another: calls, events or statements.

    `declared`: the code says so, or can't: only a service names in its constructor what it calls. `calls` were made
    since what runs now began, None where nobody counts them.
    """

    source: str
    target: str
    kind: EdgeKind
    declared: bool = True
    calls: int | None = None
    figures: Figures | None = None


class SystemMap(Message):
    """A system as its operators see it; `address` is the public one, `since` in seconds since 1970.

    `has_gateway`: its placement says who may come in how often.
    """

    system: str
    address: str
    since: float
    nodes: list[MapNode]
    edges: list[MapEdge]
    has_gateway: bool = False


class ProcessView(Message):
    """A replica of a process, or a program: `since` its state began, in seconds since 1970; `memory` in bytes.

    `cpu` is what it used of one processor since the last look: 0.5 is half of one. `problem` says what is wrong.
    """

    name: str
    replica: int
    is_program: bool
    status: str
    pid: int | None
    restarts: int
    since: float
    services: list[str]
    apps: list[str]
    address: str = ""
    problem: str = ""
    memory: int | None = None
    cpu: float | None = None


class OperationView(Message):
    """An operation and how it fares where it is answered; `calls` since what runs now began."""

    service: str
    operation: str
    calls: int
    figures: Figures


class SettingView(Message):
    """A setting as a process found it: its value, or `***` for a secret, where that came from, and its variable."""

    name: str
    value: str
    origin: str
    variable: str


class PartSettings(Message):
    """The settings of a service, an external system or a subscriber outside."""

    part: str
    settings: list[SettingView]


class FigurePoint(Message):
    """What happened in the seconds that end at `time`, in seconds since 1970; `durations` where any call took so long.

    These are a column of a heat map. What is in flight is the mean over all replicas.
    """

    time: float
    figures: Figures
    durations: list[DurationCount] = []


class TraceSearch(Message):
    """Which traces: those that touch a service and an operation, ended so, took so many seconds, begun before `before`.

    `user` is the subject for whom calls of the trace were made. `text` is a part of the root's name or the begin of a
    trace's id.
    """

    service: SoughtText = ""
    operation: SoughtText = ""
    text: SoughtText = ""
    status: Literal["", "ok", "failed"] = ""
    at_least: float = 0.0
    user: SoughtText = ""
    before: float | None = None
    most: Most = 50


class TraceView(Message):
    """A trace in short: the name and service of its root, when it began (seconds since 1970) and how long it took.

    Where the root is not known, because a foreign system began it, it is the earliest span. `failed` spans had an
    error. `user` is for whom its calls were made, empty for nobody.
    """

    trace_id: str
    name: str
    service: str
    start: float
    duration: float
    spans: int
    failed: int
    services: list[str]
    user: str = ""


class SpanView(Message):
    """A piece of work in a trace: `start` in seconds since 1970, `duration` in seconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    process: str
    replica: int
    start: float
    duration: float
    error: str = ""
    attributes: dict[str, str] = {}


class LogSearch(Message):
    """Which lines: those that have this `text`, are at least as grave as `level`, and are of these.

    `after` and `before` are ids of lines: those that follow, the oldest first, or those that precede, the newest first.
    """

    text: SoughtText = ""
    level: Literal["", "debug", "info", "warning", "error", "critical"] = ""
    service: SoughtText = ""
    process: SoughtText = ""
    trace_id: SoughtText = ""
    after: RowNumber | None = None
    before: RowNumber | None = None
    most: Most = 200


class LogView(Message):
    """A line of the log: `time` in seconds since 1970, `traceback` of an error, all else that it says as `fields`.

    `span_id` is the span within its trace in which it was logged.
    """

    id: int
    time: float
    level: str
    process: str
    replica: int
    logger: str
    message: str
    service: str = ""
    operation: str = ""
    trace_id: str = ""
    span_id: str = ""
    traceback: str = ""
    fields: dict[str, str] = {}


class ErrorView(Message):
    """Errors that are alike: what was said, where, how often, when first and last, and a trace that has one."""

    id: str
    message: str
    service: str
    operation: str
    count: int
    first: float
    last: float
    trace_id: str = ""


class Operator(Contract, Protocol, package="meristem.operator.v1"):
    """What operators see of a running system: its parts, their figures, and what is kept of traces, logs and errors."""

    @safe
    async def system(self) -> SystemMap:
        """What it consists of, who talks to whom, and how that went in the last minute."""
        ...

    @safe
    async def processes(self) -> list[ProcessView]:
        """Every replica of every process and program, and how it fares."""
        ...

    @safe
    async def operations(self) -> list[OperationView]:
        """The operations of all services, and how those went in the last minute."""
        ...

    @safe
    async def loads(self) -> list[ProcessLoad]:
        """What each replica of each process carries, at the last look: calls let in, waiting, turned away."""
        ...

    @safe
    async def settings(self) -> list[PartSettings]:
        """What the services were told, as the processes noted it when they started; secrets are hidden."""
        ...

    @safe
    async def history(self, service: str, operation: str, minutes: int) -> list[FigurePoint]:
        """How an operation fared, in up to 120 points; that of a whole service where `operation` is empty.

        All services together where both are empty. Where nothing of it ran there is no point.
        """
        ...

    @safe
    async def load_history(self, service: str, minutes: int) -> list[LoadPoint]:
        """What the replicas that have a service carried together, in such points; all where it is empty."""
        ...

    @safe
    async def replica_history(self, process: str, minutes: int) -> list[ReplicaHistory]:
        """What each replica of a process carried, in such points."""
        ...

    @safe
    async def event_history(self, service: str, subscriber: str, minutes: int) -> list[BacklogPoint]:
        """Events that waited, in such points: those of a service, for a subscriber; all where these are empty."""
        ...

    @safe
    async def route_history(self, route: str, minutes: int) -> list[RoutePoint]:
        """What became of requests on a route of the gateway, in such points; on all of them where it is empty."""
        ...

    @safe
    async def traces(self, search: TraceSearch) -> list[TraceView]:
        """The traces that are kept, the newest first."""
        ...

    @safe
    async def trace(self, trace_id: str) -> list[SpanView]:
        """The spans of a trace in the order of their starts; none where it is not kept."""
        ...

    @safe
    async def logs(self, search: LogSearch) -> list[LogView]:
        """The lines of the log that are kept; see `LogSearch` for their order."""
        ...

    @safe
    async def errors(self, most: int) -> list[ErrorView]:
        """Errors by what they say and where, those that came last first."""
        ...
