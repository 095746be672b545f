"""Placement: which process each service and app lives in, and what they use there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.config.settings import File
from meristem.contracts.bounds import misfit, unfit
from meristem.errors import ConfigurationError
from meristem.events.adapters import BUSES
from meristem.hints import meant
from meristem.resilience.limits import ClientLimits, Limits
from meristem.resilience.policies import Policies
from meristem.security.forwarding import TrustedProxies
from meristem.storage.adapters import DATABASES
from meristem.system.placement_tables import Discovery, Operator, ProcessTable, Resources, Supervision, Telemetry
from meristem.system.resource_bounds import LEAST, Bounds, size_of
from meristem.system.templates import filled
from meristem.transports.http.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    hint = meant(name, known, f"there are {', '.join(known) or 'none'}")
    return f"there is no {kind} {name!r}; {hint}"
