"""The plan: a system and its placement as pure data, which everything that inspects or deploys reads."""

from __future__ import annotations

import msgspec

from meristem.events.policy import DeliveryPolicy
from meristem.system.resource_bounds import Bounds
from meristem.transports.grpc.grpc_port import GrpcPort


class OperationPlan(msgspec.Struct, frozen=True):
    """An operation as others see it; one without a `timeout` is a stream that may last."""

    name: str
    path: str
    semantics: str
    timeout: float | None
    stream: bool
    http: str | None
    public: bool


class ScheduledPlan(msgspec.Struct, frozen=True):
    """A method that a service runs by itself, `seconds` after it last ended: in one replica, or in `each`."""

    name: str
    seconds: float
    each: bool = False


class ServicePlan(msgspec.Struct, frozen=True):
    """All that another process needs to know of a service, whose code it never imports.

    `target` is where its class is, `contracts` where each of its contracts is, by name. It `asks` for contracts, and
    so `calls` the services that implement them. `settings` are the fields of its settings classes, by where the class
    is; `migrations` is the folder that may hold its migrations. `inherits` names the contracts that its own are derived
    from. Other processes call it by its `transport`. It `uses` the apps and programs that its settings name. It was
    called something else `formerly`. `accepted` are those of the events it hears that are accepted from outside, by
    type, and where each one's class is. `scheduled` is what it does again and again.
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
    transport: str = "http"
    uses: tuple[str, ...] = ()
    formerly: str = ""
    accepted: dict[str, str] = {}
    scheduled: tuple[ScheduledPlan, ...] = ()

    @property
    def kept_as(self) -> str:
        """The name by which what it keeps is found, and what others keep for it: that of before it was renamed."""
        return self.formerly or self.name


class AppPlan(msgspec.Struct, frozen=True):
    """A hosted application and its path; its folder, interpreter and requirements, if it has some of its own.

    It `uses` the apps and programs that a placement's settings for it name.
    """

    name: str
    target: str
    mount: str
    folder: str | None = None
    python: str | None = None
    requirements: str | None = None
    uses: tuple[str, ...] = ()

    @property
    def is_apart(self) -> bool:
        """Whether it lives in a process of its own wherever the others live."""
        return (self.folder, self.python, self.requirements) != (None, None, None)


class ExternalPlan(msgspec.Struct, frozen=True):
    """A system of another team: the contract by which it is called, where that is, and its address if the code says it.

    `operations` are those of the contract, on the placement's terms.
    """

    name: str
    contract: str
    target: str
    address: str = ""
    operations: tuple[OperationPlan, ...] = ()


class ProgramPlan(msgspec.Struct, frozen=True):
    """A program that runs beside the services; `health` is `tcp`, `grpc` or a path."""

    name: str
    command: tuple[str, ...]
    health: str | None = None
    environment: dict[str, str] = {}
    folder: str | None = None
    port: int | None = None
    replicas: int = 1
    mount: str | None = None


class ProcessPlan(msgspec.Struct, frozen=True):
    """A process and what lives in it; `python` and `requirements` are its own interpreter and packages.

    `bounds` are the most that each of its replicas may take, in bytes and processors. `grpc` is its public port for
    gRPC.
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
    grpc: GrpcPort | None = None


class Plan(msgspec.Struct, frozen=True):
    """The whole system; services stand in the order in which they start, and `api` is the prefix of REST."""

    system: str
    services: tuple[ServicePlan, ...]
    apps: tuple[AppPlan, ...]
    programs: tuple[ProgramPlan, ...]
    processes: tuple[ProcessPlan, ...]
    api: str = "/api"
    external: tuple[ExternalPlan, ...] = ()

    @property
    def accepts_events(self) -> bool:
        """Whether some event is accepted from outside."""
        return any(each.accepted for each in self.services)

    def outside(self, service: ServicePlan) -> tuple[str, ...]:
        """The external systems that a service calls, by name."""
        return tuple(each.name for each in self.external if each.contract in service.asks)

    def subscribers(self) -> dict[str, tuple[str, ...]]:
        """The services that hear each event, by event type."""
        heard: dict[str, tuple[str, ...]] = {}
        for service in self.services:
            for event in service.hears:
                heard[event] = (*heard.get(event, ()), service.name)
        return heard

    def event_flows(self) -> list[tuple[str, str, str]]:
        """Who publishes which event to whom.

        Who publishes is not in the plan: the service whose contract shares the event's package is taken for it.
        """
        owners = {contract.rpartition(".")[0]: each.name for each in self.services for contract in each.contracts}
        return [
            (owner, event, each.name)
            for each in self.services
            for event in each.hears
            if (owner := owners.get(event.rpartition(".")[0])) is not None
        ]

    def service(self, name: str) -> ServicePlan:
        """The service of a name."""
        return next(each for each in self.services if each.name == name)

    def called_now(self, kept_as: str) -> str:
        """What a service is called now that is known by this name where things are kept; the same for one unknown."""
        return next((each.name for each in self.services if each.kept_as == kept_as), kept_as)

    def process_of(self, part: str) -> ProcessPlan:
        """The process in which a service or app lives."""
        return next(each for each in self.processes if part in (*each.services, *each.apps))
