"""The plan: a system and its placement as pure data, which everything that inspects or deploys reads."""

from __future__ import annotations

import msgspec

from meristem.events.policy import DeliveryPolicy
from meristem.system.resource_bounds import Bounds


class OperationPlan(msgspec.Struct, frozen=True):
    """An operation as others see it; one without a `timeout` is a stream that may last."""

    name: str
    path: str
    semantics: str
    timeout: float | None
    stream: bool
    http: str | None


class ServicePlan(msgspec.Struct, frozen=True):
    """All that another process needs to know of a service, whose code it never imports.

    `target` is where its class is, `contracts` where each of its contracts is, by name. It `asks` for contracts, and
    so `calls` the services that implement them. `settings` are the fields of its settings classes, by where the class
    is; `migrations` is the folder that may hold its migrations. `inherits` names the contracts that its own are derived
    from.
    """

    name: str
    target: str
    contracts: dict[str, str]
    operations: tuple[OperationPlan, ...]
    calls: tuple[str, ...]
    hears: dict[str, DeliveryPolicy]
    sagas: tuple[str, ...]
    database: bool
    asks: tuple[str, ...] = ()
    settings: dict[str, tuple[str, ...]] = {}
    migrations: str = ""
    inherits: tuple[str, ...] = ()


class AppPlan(msgspec.Struct, frozen=True):
    """A hosted application and its path."""

    name: str
    target: str
    mount: str


class ProgramPlan(msgspec.Struct, frozen=True):
    """A program that runs beside the services."""

    name: str
    command: tuple[str, ...]
    health: str | None = None
    environment: dict[str, str] = {}


class ProcessPlan(msgspec.Struct, frozen=True):
    """A process and what lives in it; `python` and `requirements` are its own interpreter and packages.

    `bounds` are the most that each of its replicas may take, in bytes and processors.
    """

    name: str
    services: tuple[str, ...]
    apps: tuple[str, ...]
    replicas: int = 1
    port: int | None = None
    overlap: bool = True
    python: str | None = None
    requirements: str | None = None
    bounds: Bounds = Bounds()


class Plan(msgspec.Struct, frozen=True):
    """The whole system; services stand in the order in which they start, and `api` is the prefix of REST."""

    system: str
    services: tuple[ServicePlan, ...]
    apps: tuple[AppPlan, ...]
    programs: tuple[ProgramPlan, ...]
    processes: tuple[ProcessPlan, ...]
    api: str = "/api"

    def subscribers(self) -> dict[str, tuple[str, ...]]:
        """The services that hear each event, by event type."""
        heard: dict[str, tuple[str, ...]] = {}
        for service in self.services:
            for event in service.hears:
                heard[event] = (*heard.get(event, ()), service.name)
        return heard

    def process_of(self, part: str) -> ProcessPlan:
        """The process in which a service or app lives."""
        return next(each for each in self.processes if part in (*each.services, *each.apps))
