"""The tables of a placement file: what may be written in each, and its defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import Attempts, Count, Rate
from meristem.quantities import SizeText
from meristem.system.resource_bounds import Processors
from meristem.transports.grpc.grpc_port import FILES

TEMPORARY: Final = "sqlite://"
"""The URL of a database that each service has for itself in each process, and that vanishes with it."""
Name: TypeAlias = Annotated[str, Meta(min_length=1, description="at least one character")]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535, description="one between 1 and 65535")]


class ProcessTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process as a placement file writes it: `["search"]` or `{ services = ["search"], replicas = 2 }`.

    `python` is an interpreter of its own, `requirements` a file of packages that are installed for it alone; both are
    found from the placement file's folder. `port` is a public TCP port of its own. On a reload each replica is started
    beside the one it replaces; with `overlap = false` after it, for what cannot run twice at once. `memory` and `cpu`
    are the most that each replica may take: `memory = "512 MiB"` and half a processor, `cpu = 0.5`. What computes
    (`cpu=True`) has `workers` in each replica, by default one for each processor that it may use.
    """

    services: tuple[str, ...]
    replicas: Count = 1
    port: Port | None = None
    overlap: bool = True
    memory: SizeText | int | None = None
    cpu: Processors | None = None
    workers: Count | None = None
    python: Name | None = None
    requirements: Name | None = None
    settings: dict[str, dict[str, Any]] = {}
    server: dict[str, Any] = {}

    def below(self, folder: Path) -> ProcessTable:
        """The same with paths that hold wherever they are read; an interpreter without `/` is one of `PATH`."""
        python, requirements = self.python, self.requirements
        if python is not None and "/" in python:
            python = os.path.abspath(folder / python)  # noqa: PTH100 - a link is what tells a virtual environment
        if requirements is not None:
            requirements = str((folder / requirements).resolve())
        server = server_below(self.server, folder)
        return msgspec.structs.replace(self, python=python, requirements=requirements, server=server)


def server_below(server: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A table of a server with the files of its port for gRPC found from `folder`."""
    written = server.get("grpc")
    if not isinstance(written, dict):
        return server
    files = {name: os.path.join(folder, written[name]) for name in FILES if isinstance(written.get(name), str)}  # noqa: PTH118 - certificates are renewed by links
    return {**server, "grpc": {**written, **files}}


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What services use; in a database's URL, `{service}` and `{system}` stand for their names.

    `databases` are those of single services, by name, which are elsewhere than the others'. `replicas` are copies of
    what `database` names, from which a service reads what may be stale (`max_staleness=` in its contract);
    `replicas_of` are those of single services, and a service of `databases` has no others.
    """

    database: str = "sqlite:///.meristem/{system}/{service}.db"
    databases: dict[str, str] = {}
    replicas: tuple[str, ...] = ()
    replicas_of: dict[str, tuple[str, ...]] = {}
    bus: str = "direct"


class EventSubscriber(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subscriber outside: the events of some `types` are posted to its `url`, as CloudEvents.

    A type is written out, or `shop.orders.v1.*` for all of a package, or `*`. Each is tried for `timeout` seconds, and
    one that is refused `attempts` times becomes a dead letter. Its token is a setting, as those of services are.
    """

    url: Name
    types: Annotated[tuple[Name, ...], Meta(min_length=1, description="at least one")]
    mode: Literal["binary", "structured"] = "binary"
    attempts: Attempts = 10
    timeout: Annotated[float, Meta(ge=0.1, le=3600.0, description="0.1 seconds to an hour")] = 30.0


class EventsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who hears events beside the system's services, by name."""

    subscribers: dict[str, EventSubscriber] = {}


class Discovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How processes on several hosts find each other: `dns = "{service}.shop.svc.cluster.local:8000"`.

    `{service}`, `{process}` and `{system}` stand for names; `_http._tcp.{service}.shop.svc` asks for SRV records.
    """

    dns: str | None = None


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each process records: new traces a second, and besides them calls that failed or took `slow` seconds.

    Requests at public addresses each have a line in the log, the `access_log`.
    """

    traces_per_second: Rate = 20.0
    slow: Annotated[float, Meta(ge=0, le=86400.0, description="0 seconds to a day")] = 1.0
    late_per_second: Rate = 100.0
    access_log: bool = True


class Supervision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a process counts as hanging: one without a heartbeat for `hung` seconds is replaced.

    An event loop that is held for `late` seconds is a warning with the stack of what holds it. While the only replica
    of a process is away, its callers wait for the next one, `away` seconds at most.
    """

    hung: Annotated[float, Meta(ge=2, le=86400.0, description="2 seconds to a day")] = 30.0
    late: Annotated[float, Meta(ge=0.1, le=86400.0, description="0.1 seconds to a day")] = 1.0
    away: Annotated[float, Meta(ge=0.1, le=86400.0, description="0.1 seconds to a day")] = 5.0


class HistoryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the dashboard looks back on: so many days at most, and so many spans, lines of the log, and figures.

    A replica and each of its operations that is called have a row of figures every ten seconds.
    """

    days: Annotated[float, Meta(gt=0, le=3650.0, description="more than 0 and at most ten years")] = 7.0
    spans: Count = 200_000
    lines: Count = 200_000
    figures: Count = 500_000


class PublicTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By which hosts others than this machine ask for the dashboard: `hosts = ["ops.example.org"]`, over TLS.

    A proxy speaks TLS there and sets X-Forwarded-Proto, or the addresses of `listen` do, by the files `certificate`
    and `key` in PEM, found from the project's folder and read at the start.
    """

    hosts: Annotated[tuple[Name, ...], Meta(min_length=1, description="at least one")]
    certificate: Name | None = None
    key: Name | None = None


class OperatorTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where operators read, besides a Unix socket in the state directory: `listen = "tcp://0.0.0.0:9000"`, or a list.

    Left out, it is 127.0.0.1:8001 where the system runs on loopback; `[]` is nowhere else than at the socket. Without
    its `dashboard` nothing is gathered of the processes, and nothing kept. It is for this machine alone unless
    `public` says otherwise.
    """

    listen: Name | tuple[Name, ...] | None = None
    dashboard: bool = True
    history: HistoryTable = HistoryTable()
    public: PublicTable | None = None

    @property
    def addresses(self) -> tuple[str, ...] | None:
        """What is written, as a list; None where nothing is."""
        return (self.listen,) if isinstance(self.listen, str) else self.listen
