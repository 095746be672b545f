"""Placement: which process each service and app lives in, and what they use there."""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from meristem.config.settings import File
from meristem.contracts.bounds import Count, Rate, misfit, unfit
from meristem.errors import ConfigurationError
from meristem.events.adapters import BUSES
from meristem.resilience.limits import ClientLimits, Limits
from meristem.resilience.policies import Policies
from meristem.security.forwarding import TrustedProxies
from meristem.storage.adapters import DATABASES
from meristem.system.resource_bounds import LEAST, Bounds, Memory, Processors, size_of
from meristem.system.templates import filled
from meristem.transports.http.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meristem.contracts.operation import Operation

Name: TypeAlias = Annotated[str, Meta(min_length=1, description="at least one character")]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535, description="one between 1 and 65535")]
REST: Final = "*"
ALONE: Final = "main"


class ProcessTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process as a placement file writes it: `["search"]` or `{ services = ["search"], replicas = 2 }`.

    `python` is an interpreter of its own, `requirements` a file of packages that are installed for it alone; both are
    found from the placement file's folder. `port` is a public TCP port of its own. On a reload each replica is started
    beside the one it replaces; with `overlap = false` after it, for what cannot run twice at once. `memory` and `cpu`
    are the most that each replica may take: `memory = "512 MiB"` and half a processor, `cpu = 0.5`.
    """

    services: tuple[str, ...]
    replicas: Count = 1
    port: Port | None = None
    overlap: bool = True
    memory: Memory | int | None = None
    cpu: Processors | None = None
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
        return msgspec.structs.replace(self, python=python, requirements=requirements)


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What services use; in the database's URL, `{service}` and `{system}` stand for their names."""

    database: str = "sqlite:///.meristem/{system}/{service}.db"
    bus: str = "direct"


class Discovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How processes on several hosts find each other: `dns = "{service}.shop.svc.cluster.local:8000"`.

    `{service}`, `{process}` and `{system}` stand for names; `_http._tcp.{service}.shop.svc` asks for SRV records.
    """

    dns: str | None = None


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each process records: new traces a second, and besides them calls that failed or took `slow` seconds."""

    traces_per_second: Rate = 20.0
    slow: Annotated[float, Meta(ge=0, le=86400.0, description="0 seconds to a day")] = 1.0
    late_per_second: Rate = 100.0


class Supervision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a process counts as hanging: one without a heartbeat for `hung` seconds is replaced.

    An event loop that is held for `late` seconds is a warning with the stack of what holds it.
    """

    hung: Annotated[float, Meta(ge=2, le=86400.0, description="2 seconds to a day")] = 30.0
    late: Annotated[float, Meta(ge=0.1, le=86400.0, description="0.1 seconds to a day")] = 1.0


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where operators read, besides a Unix socket in the state directory: `listen = "tcp://0.0.0.0:9000"`, or a list.

    Left out, it is 127.0.0.1:8001 where the system runs on loopback; `[]` is nowhere else than at the socket.
    """

    listen: Name | tuple[Name, ...] | None = None

    @property
    def addresses(self) -> tuple[str, ...] | None:
        """What is written, as a list; None where nothing is."""
        return (self.listen,) if isinstance(self.listen, str) else self.listen


class Placed(msgspec.Struct, frozen=True):
    """A process and the parts that a placement put there."""

    name: str
    services: tuple[str, ...]
    apps: tuple[str, ...]
    replicas: int
    port: int | None = None
    overlap: bool = True
    python: str | None = None
    requirements: str | None = None
    bounds: Bounds = Bounds()


class Placement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the parts of a system live; by default all in one process with nothing to install."""

    processes: dict[str, tuple[str, ...] | ProcessTable] = msgspec.field(default_factory=lambda: {ALONE: (REST,)})
    resources: Resources = Resources()
    discovery: Discovery = Discovery()
    settings: dict[str, dict[str, Any]] = {}
    policies: dict[str, Policies] = {}
    # As it is written, not as Limits: the defaults of one table would hide what the other says (`limits_of`).
    server: dict[str, Any] = {}
    client: ClientLimits = ClientLimits()
    telemetry: Telemetry = Telemetry()
    operator: Operator = Operator()
    supervision: Supervision = Supervision()

    @classmethod
    def read(cls, path: Path) -> Placement:
        """Read a placement file; raises ConfigurationError that names file, table, key and what is allowed."""
        try:
            written = tomllib.loads(path.read_text())
        except FileNotFoundError:
            raise ConfigurationError(f"there is no placement file {path}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        # Tables are looked at as they are written, before they become objects: then the key that is wrong is known.
        problem = misfit(written, cls)
        if problem is None:
            placement = msgspec.convert(written, cls).below(path.parent)
            problem = placement.problem()
        if problem is not None:
            raise ConfigurationError(f"{path}: {problem}")
        return placement

    def below(self, folder: Path) -> Placement:
        """The same, with what its processes name by paths found from `folder`."""
        tables = {name: each.below(folder) if isinstance(each, ProcessTable) else each
                  for name, each in self.processes.items()}  # fmt: skip
        return msgspec.structs.replace(self, processes=tables)

    def problem(self) -> str | None:
        """What no table may say, whatever the system's parts are; None for a sound placement."""
        written = {name: self.process(name) for name in self.processes}
        servers = {"server": self.server}
        servers |= {f"processes.{name}.server": process.server for name, process in written.items()}
        tables = (
            ("policies", self.policies, dict[str, Policies]),
            ("client", self.client, ClientLimits),
            ("telemetry", self.telemetry, Telemetry),
            ("operator", self.operator, Operator),
            ("supervision", self.supervision, Supervision),
        )
        problems = (
            # As tables once more, for `misfit` names the key that is wrong by the table it stands in.
            *(misfit(msgspec.to_builtins(value), type_, name) for name, value, type_ in tables),
            *(_wrong_limit(table, limits) for table, limits in servers.items()),
            *(_wrong_number(name, process) for name, process in written.items()),
            *(_wrong_address(each) for each in self.operator.addresses or ()),
        )
        return next((each for each in problems if each is not None), None)

    def place(self, services: Sequence[str], apps: Sequence[str]) -> list[Placed]:
        """The processes and their parts; raises ConfigurationError for a part unknown, left out or placed twice."""
        # Once more for a placement that was made in code, without `read`.
        problem = self.problem()
        if problem is not None:
            raise ConfigurationError(f"placement: {problem}")
        parts = [*services, *apps]
        written = {name: self.process(name) for name in self.processes}
        # What is named anywhere is not of the rest, wherever in the file the rest stands.
        named = [part for process in written.values() for part in process.services if part != REST]
        self._check(parts, named, [name for name, process in written.items() if REST in process.services])
        self._check_tables(services, written)
        self._check_resources()
        placed = []
        for name, process in written.items():
            rest = [part for part in parts if part not in named] if REST in process.services else []
            here = {*process.services, *rest}
            placed.append(
                Placed(
                    name,
                    tuple(each for each in services if each in here),
                    tuple(each for each in apps if each in here),
                    process.replicas,
                    process.port,
                    process.overlap,
                    process.python,
                    process.requirements,
                    Bounds(None if process.memory is None else size_of(process.memory), process.cpu),
                )
            )
        return placed

    def table_of(self, service: str) -> ProcessTable:
        """What is written of the process in which a service lives."""
        tables = [self.process(name) for name in self.processes]
        named = [each for each in tables if service in each.services]
        rest = [each for each in tables if REST in each.services]
        return next(iter((*named, *rest)), ProcessTable(()))

    def settings_of(self, process: str) -> tuple[File, ...]:
        """The settings that hold in a process, each with the table they stand in; the strongest first."""
        own = File(f"[processes.{process}.settings] of the placement", self.process(process).settings)
        return own, File("[settings] of the placement", self.settings)

    def limits_of(self, process: str) -> Limits:
        """The limits of a process's server: what its own table says, then that of all, then the defaults."""
        written = self.processes[process]
        own = written.server if isinstance(written, ProcessTable) else {}
        return msgspec.convert({**self.server, **own}, Limits)

    def governed(self, service: str, operations: Mapping[str, Operation]) -> dict[str, Operation]:
        """The operations of a service on the terms that hold here; raises ConfigurationError for one it lacks."""
        written = self.policies.get(service, Policies()).operations
        for name, policy in written.items():
            known = operations.get(name)
            problem = _unknown("operation", name, list(operations)) if known is None else policy.problem(known)
            if problem is not None:
                raise ConfigurationError(f"placement: [policies.{service}.operations.{name}]: {problem}")
        return {
            name: written[name].govern(operation) if name in written else operation
            for name, operation in operations.items()
        }

    def process(self, name: str) -> ProcessTable:
        """What is written of a process."""
        written = self.processes[name]
        return written if isinstance(written, ProcessTable) else ProcessTable(written)

    def _check_tables(self, services: Sequence[str], written: dict[str, ProcessTable]) -> None:
        """Refuse what would silently do nothing."""
        tables: dict[str, Iterable[str]] = {"settings": self.settings, "policies": self.policies}
        tables |= {f"processes.{name}.settings": process.settings for name, process in written.items()}
        for table, known in tables.items():
            for service in known:
                if service not in services:
                    raise ConfigurationError(
                        f"placement: [{table}.{service}]: {_unknown('service', service, services)}"
                    )

    def _check_resources(self) -> None:
        """Refuse what each process would stumble over as it starts."""
        filled("resources.database", self.resources.database, service="", system="")
        if self.discovery.dns is not None:
            filled("discovery.dns", self.discovery.dns, service="", process="", system="")
        try:
            # Asked now, by scheme alone: a misspelt address should fail before processes start, and imports no adapter.
            BUSES.check(self.resources.bus)
            DATABASES.check(self.resources.database)
        except ConfigurationError as error:
            raise ConfigurationError(f"placement: [resources]: {error}") from None

    def _check(self, parts: Sequence[str], named: Sequence[str], rest: Sequence[str]) -> None:
        for part in named:
            if part not in parts:
                raise ConfigurationError(f"placement: {_unknown('service or app', part, parts)}")
            if named.count(part) > 1:
                raise ConfigurationError(f"placement: {part!r} is placed twice; use replicas for more of it")
        if len(rest) > 1:
            raise ConfigurationError(f'placement: both {rest[0]} and {rest[1]} take the rest, "*"')
        missing = [part for part in parts if part not in named]
        if missing and not rest:
            raise ConfigurationError(
                f'placement: {missing[0]!r} has no process; name it, or let one take the rest, "*"'
            )


def _wrong_limit(table: str, written: dict[str, Any]) -> str | None:
    known = Limits.__struct_fields__
    unknown = next((name for name in written if name not in known), None)
    if unknown is not None:
        return f"[{table}]: {_unknown('limit', unknown, known)}"
    if (problem := misfit(written, Limits, table)) is not None:
        return problem
    try:
        TrustedProxies(written.get("trusted_proxies", ()))
    except ConfigurationError as error:
        return f"[{table}]: {error}"
    return None


def _wrong_number(name: str, process: ProcessTable) -> str | None:
    if (problem := unfit(process)) is not None:
        return f"{name}: {problem}"
    if process.memory is not None and size_of(process.memory) < LEAST:
        return f"[processes.{name}]: memory = {process.memory!r}; give at least {LEAST >> 20} MiB"
    return None


def _wrong_address(address: str) -> str | None:
    try:
        Address.parse(address)
    except ConfigurationError as error:
        return f"[operator]: listen: {error}"
    return None


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
    return f"there is no {kind} {name!r}; {hint}"
