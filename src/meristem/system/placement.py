"""Placement: which process each service and app lives in, and what they use there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.config.setting_sources import File
from meristem.contracts.bounds import misfit
from meristem.errors import ConfigurationError
from meristem.events.adapters import BUSES
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.resilience.limits import ClientLimits, Limits
from meristem.resilience.policies import Policies
from meristem.storage.adapters import DATABASES
from meristem.system.apart import with_apart
from meristem.system.placement_errors import SAID, located
from meristem.system.placement_problems import (
    unknown,
    wrong_address,
    wrong_limit,
    wrong_number,
    wrong_public,
    wrong_subscriber,
)
from meristem.system.placement_tables import (
    Discovery,
    EventsTable,
    OperatorTable,
    ProcessTable,
    Resources,
    Supervision,
    Telemetry,
    server_below,
)
from meristem.system.resource_bounds import Bounds, size_of
from meristem.system.templates import filled
from meristem.transports.grpc.grpc_port import GrpcPort

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meristem.contracts.operation import Operation

REST: Final = "*"
ALONE: Final = "main"


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
    grpc: GrpcPort | None = None


class Placement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the parts of a system live; by default all in one process with nothing to install."""

    processes: dict[str, tuple[str, ...] | ProcessTable] = msgspec.field(default_factory=lambda: {ALONE: (REST,)})
    resources: Resources = Resources()
    external: dict[str, str] = {}
    discovery: Discovery = Discovery()
    events: EventsTable = EventsTable()
    settings: dict[str, dict[str, Any]] = {}
    policies: dict[str, Policies] = {}
    # As it is written, not as Limits: the defaults of one table would hide what the other says (`limits_of`).
    server: dict[str, Any] = {}
    client: ClientLimits = ClientLimits()
    telemetry: Telemetry = Telemetry()
    operator: OperatorTable = OperatorTable()
    gateway: GatewayTable | None = None
    supervision: Supervision = Supervision()

    @classmethod
    def read(cls, path: Path) -> Placement:
        """Read a placement file; raises ConfigurationError that names file, line, key and what is allowed."""
        try:
            text = path.read_text()
            written = tomllib.loads(text)
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
            raise ConfigurationError(f"{path}: {located(text, problem)}")
        return placement

    def below(self, folder: Path) -> Placement:
        """The same, with what its processes name by paths found from `folder`."""
        tables = {name: each.below(folder) if isinstance(each, ProcessTable) else each
                  for name, each in self.processes.items()}  # fmt: skip
        gateway = None if self.gateway is None else self.gateway.below(folder)
        return msgspec.structs.replace(
            self, processes=tables, server=server_below(self.server, folder), gateway=gateway
        )

    def problem(self) -> str | None:
        """What no table may say, whatever the system's parts are; None for a sound placement."""
        written = {name: self.process(name) for name in self.processes}
        servers = {"server": self.server}
        servers |= {f"processes.{name}.server": process.server for name, process in written.items()}
        tables = (
            ("policies", self.policies, dict[str, Policies]),
            ("client", self.client, ClientLimits),
            ("events", self.events, EventsTable),
            ("telemetry", self.telemetry, Telemetry),
            ("operator", self.operator, OperatorTable),
            *(() if self.gateway is None else (("gateway", self.gateway, GatewayTable),)),
            ("supervision", self.supervision, Supervision),
        )
        problems = (
            # As tables once more, for `misfit` names the key that is wrong by the table it stands in.
            *(misfit(msgspec.to_builtins(value), type_, name) for name, value, type_ in tables),
            *(wrong_limit(table, limits) for table, limits in servers.items()),
            *(wrong_number(name, process) for name, process in written.items()),
            *(wrong_address(each) for each in self.operator.addresses or ()),
            wrong_public(self.operator),
            None if self.gateway is None else self.gateway.problem(),
            *(wrong_subscriber(name, each) for name, each in self.events.subscribers.items()),
        )
        return next((each for each in problems if each is not None), None)

    def place(
        self,
        services: Sequence[str],
        apps: Sequence[str],
        external: Sequence[str] = (),
        apart: Mapping[str, ProcessTable] | None = None,
    ) -> list[Placed]:
        """The processes and their parts; raises ConfigurationError for a part unknown, left out or placed twice.

        `apart` are apps that have a process of their own wherever they are placed, and what it is without a word here.
        """
        # Once more for a placement that was made in code, without `read`.
        problem = self.problem()
        if problem is not None:
            raise ConfigurationError(f"{SAID}{problem}")
        parts = [*services, *apps]
        self.check_subscribers([*parts, *external])
        written = with_apart({name: self.process(name) for name in self.processes}, apart or {})
        # What is named anywhere is not of the rest, wherever in the file the rest stands.
        named = [part for process in written.values() for part in process.services if part != REST]
        self._check(parts, named, [name for name, process in written.items() if REST in process.services])
        self._check_tables([*services, *external], apps, written, [*self.events.subscribers])
        for name in self.external:
            if name not in external:
                raise ConfigurationError(f"placement: [external]: {unknown('external system', name, external)}")
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
                    GrpcPort.of(process.server.get("grpc")),
                )
            )
        return placed

    def check_subscribers(self, taken: Iterable[str]) -> None:
        """Refuse a subscriber outside with a name that is `taken`: what is owed to one would go to the other."""
        if twice := {*taken} & {*self.events.subscribers}:
            text = f"[events.subscribers.{min(twice)}]: a part of the system is called so, or was; give it another name"
            raise ConfigurationError(f"{SAID}{text}")

    def table_of(self, service: str) -> ProcessTable:
        """What is written of the process in which a service lives."""
        tables = [self.process(name) for name in self.processes]
        named = [each for each in tables if service in each.services]
        rest = [each for each in tables if REST in each.services]
        return next(iter((*named, *rest)), ProcessTable(()))

    def settings_of(self, process: str) -> tuple[File, ...]:
        """The settings that hold in a process, each with the table they stand in; the strongest first."""
        own = File(f"[processes.{process}.settings] of the placement", self.process(process).settings)
        return own, *self.settings_for_all()

    def settings_for_all(self) -> tuple[File, ...]:
        """The settings that hold in every process."""
        return (File("[settings] of the placement", self.settings),)

    def written_settings(self, service: str) -> Iterator[Any]:
        """What is written of a service's settings, wherever it lives."""
        for table in (self.settings, *(self.process(name).settings for name in self.processes)):
            yield from table.get(service, {}).values()

    def limits_of(self, process: str) -> Limits:
        """The limits of a process's server: what its own table says, then that of all, then the defaults."""
        written_of_all = {**self.server, **self.process(process).server}
        written_of_all.pop("grpc", None)
        return msgspec.convert(written_of_all, Limits)

    @property
    def is_secure(self) -> bool:
        """Whether the public addresses speak TLS themselves."""
        return self.gateway is not None and self.gateway.tls is not None

    @property
    def grpc(self) -> GrpcPort | None:
        """The port for gRPC of the system, which its edge serves."""
        return GrpcPort.of(self.server.get("grpc"))

    def governed(self, service: str, operations: Mapping[str, Operation]) -> dict[str, Operation]:
        """The operations of a service on the terms that hold here; raises ConfigurationError for one it lacks."""
        written = self.policies.get(service, Policies()).operations
        for name, policy in written.items():
            known = operations.get(name)
            problem = unknown("operation", name, list(operations)) if known is None else policy.problem(known)
            if problem is not None:
                raise ConfigurationError(f"{SAID}[policies.{service}.operations.{name}]: {problem}")
        return {
            name: written[name].govern(operation) if name in written else operation
            for name, operation in operations.items()
        }

    def process(self, name: str) -> ProcessTable:
        """What is written of a process; of one that an app has for itself, or of an added edge, it may be nothing."""
        written = self.processes.get(name, (name,))
        return written if isinstance(written, ProcessTable) else ProcessTable(written)

    def _check_tables(
        self,
        services: Sequence[str],
        apps: Sequence[str],
        written: dict[str, ProcessTable],
        subscribers: Sequence[str],
    ) -> None:
        """Refuse what would silently do nothing."""
        settings: dict[str, Iterable[str]] = {"settings": self.settings}
        settings |= {f"processes.{name}.settings": process.settings for name, process in written.items()}
        for table, known in settings.items():
            _refuse_unknown(table, known, [*services, *apps, *subscribers], "service or app" if apps else "service")
        _refuse_unknown("policies", self.policies, services, "service")
        for table in ("databases", "replicas_of"):
            _refuse_unknown(f"resources.{table}", getattr(self.resources, table), services, "service")

    def _check_resources(self) -> None:
        """Refuse what each process would stumble over as it starts."""
        databases = {"resources.database": self.resources.database}
        databases |= {f"resources.databases.{name}": url for name, url in self.resources.databases.items()}
        replicas = {"resources.replicas": self.resources.replicas}
        replicas |= {f"resources.replicas_of.{name}": urls for name, urls in self.resources.replicas_of.items()}
        copies = [(key, url) for key, urls in replicas.items() for url in urls]
        for key, url in (*databases.items(), *copies):
            filled(key, url, service="", system="")
        if self.discovery.dns is not None:
            filled("discovery.dns", self.discovery.dns, service="", process="", system="")
        try:
            # Asked now, by scheme alone: a misspelt address should fail before processes start, and imports no adapter.
            BUSES.check(self.resources.bus)
            for url in (*databases.values(), *(url for _, url in copies)):
                DATABASES.check(url)
        except ConfigurationError as error:
            raise ConfigurationError(f"{SAID}[resources]: {error}") from None

    def _check(self, parts: Sequence[str], named: Sequence[str], rest: Sequence[str]) -> None:
        for part in named:
            if part not in parts:
                raise ConfigurationError(f"{SAID}{unknown('service or app', part, parts)}")
            if named.count(part) > 1:
                raise ConfigurationError(f"{SAID}{part!r} is placed twice; use replicas for more of it")
        if len(rest) > 1:
            raise ConfigurationError(f'{SAID}both {rest[0]} and {rest[1]} take the rest, "*"')
        missing = [part for part in parts if part not in named]
        if missing and not rest:
            raise ConfigurationError(f'{SAID}{missing[0]!r} has no process; name it, or let one take the rest, "*"')


def _refuse_unknown(table: str, written: Iterable[str], parts: Sequence[str], kind: str) -> None:
    for part in written:
        if part not in parts:
            raise ConfigurationError(f"{SAID}[{table}.{part}]: {unknown(kind, part, parts)}")
