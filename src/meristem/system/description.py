"""What others may know of a service, read off its class once and kept as data."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meristem.config.project import Reference, load_object
from meristem.contracts.contract import inherited
from meristem.errors import ConfigurationError, WiringError
from meristem.events.policy import DEFAULT
from meristem.events.subscription import subscriptions
from meristem.sagas.saga import sagas_of
from meristem.services.schedule import needs_lease, scheduled
from meristem.services.service import Service, default_name, is_database
from meristem.system.named_parts import parts_named
from meristem.system.plan import OperationPlan, ScheduledPlan, ServicePlan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.config.settings import Settings
    from meristem.contracts.contract import Contract
    from meristem.contracts.message import Event
    from meristem.contracts.operation import Operation
    from meristem.events.policy import DeliveryPolicy
    from meristem.services.service import ServiceSpec


def description(spec: ServiceSpec) -> ServicePlan:
    """The service as data; whom it calls is known when it stands in a system."""
    return ServicePlan(
        spec.name,
        path_of(spec.implementation),
        {contract.contract_name: path_of(contract) for contract in spec.contracts},
        tuple(operation_plan(operation) for operation in spec.operations.values()),
        (),
        heard(spec.implementation),
        tuple(sagas_of(spec.implementation)),
        needs_database(spec),
        tuple(contract.contract_name for contract in spec.calls),
        {path_of(settings): settings.__struct_fields__ for settings in spec.settings},
        str(migrations_of(spec.implementation)),
        tuple(dict.fromkeys(base.contract_name for contract in spec.contracts for base in inherited(contract))),
        uses=parts_named(value for settings in spec.settings for value in settings.__struct_defaults__),
        formerly=spec.implementation.formerly,
        accepted={
            event.event_type: path_of(event)
            for event in events_of(spec.implementation).values()
            if event.accepted_roles
        },
        scheduled=tuple(
            ScheduledPlan(name, each.seconds, each.each) for name, each in scheduled(spec.implementation).items()
        ),
    )


def operation_plan(operation: Operation) -> OperationPlan:
    """An operation as data."""
    http = None if operation.http is None else f"{operation.http.verb} {operation.http.path}"
    semantics = operation.semantics.value
    timeout = operation.timeout if operation.timeout < inf else None
    return OperationPlan(operation.name, operation.path, semantics, timeout, operation.stream, http, operation.public)


def path_of(cls: type) -> str:
    """Where a class is: `hotels.contracts.rooms:Rooms`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def heard(service: type[Service]) -> dict[str, DeliveryPolicy]:
    """The types of the events that a service hears, with the policy of their delivery."""
    policies = {event.event_type: each.policy for event, each in subscriptions(service).items()}
    # Sorted: methods that change places in their class change nothing in the plan.
    return {name: policies.get(name, DEFAULT) for name in sorted(events_of(service))}


def events_of(service: type[Service]) -> dict[str, type[Event]]:
    """The classes of the events that a service hears, by their type; raises WiringError for two of one type."""
    # What a saga waits for comes by the inbox as well, so its publisher must know this service as a subscriber.
    waits = [event for saga in sagas_of(service).values() for event in saga.waits]
    return one_class_each({}, (*waits, *subscriptions(service)))


def one_class_each(known: dict[str, type[Event]], events: Iterable[type[Event]]) -> dict[str, type[Event]]:
    """The classes of events by type, `known` ones included; raises WiringError for two of one type."""
    found = dict(known)
    for event in events:
        if (other := found.setdefault(event.event_type, event)) is not event:
            both = f"{path_of(other)} and {path_of(event)}"
            raise WiringError(f"{both} are both the event {event.event_type!r}; rename one, or import it where it is")
    return found


def needs_database(spec: ServiceSpec) -> bool:
    """Whether the service keeps anything: its own tables, answers, events heard, sagas, or which replica does what."""
    own = any(is_database(need.type) for need in spec.all_needs())
    service = spec.implementation
    return own or spec.answers_once or needs_lease(service) or bool(subscriptions(service)) or bool(sagas_of(service))


def migrations_of(service: type[Service]) -> Path:
    """The folder in which the service's module keeps its migrations; it need not exist."""
    return Path(inspect.getfile(service)).parent / "migrations" / "versions"


def service_named(target: str) -> type[Service]:
    """Import the service class that `hotels.rooms.service:RoomsService` names.

    Raises ConfigurationError when the module or the class is not there, or the module fails; WiringError for what is
    no service.
    """
    found = load_object(_reference(target, f"services=[{target!r}]"))
    if not (isinstance(found, type) and issubclass(found, Service)):
        raise WiringError(f"{target!r} names {_shown(found)}, which is no service; derive its class from Service")
    return found


def name_of(target: str) -> str:
    """What a service that is named by text will be called, told from the source alone: `documents`.

    The packages around its module are imported for it, the module is not. What cannot be read is told by whoever
    imports it.
    """
    module, _, attribute = target.partition(":")
    try:
        found = importlib.util.find_spec(module)
        source = Path(found.origin) if found is not None and found.origin else None
        body = ast.parse(source.read_bytes()).body if source is not None and source.suffix == ".py" else []
    except Exception:  # the code of packages may raise whatever it likes
        body = []
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            written = [each.value for each in node.keywords if each.arg == "name"]
            if written and isinstance(written[0], ast.Constant):
                return str(written[0].value)
    return default_name(attribute)


def contract_at(path: str, service: str) -> type[Contract]:
    """Import a contract that a service of another process implements; raises ConfigurationError that says why not."""
    why = "processes share contracts: keep them in modules that need nothing but Meristem"
    contract: type[Contract] = _class_at(path, f"the contract {path} of the service {service!r}", why)
    return contract


def event_at(path: str, service: str) -> type[Event]:
    """Import an event that a service of another process hears; raises ConfigurationError that says why not."""
    why = "keep events that are accepted from outside beside contracts, in modules that need nothing but Meristem"
    event: type[Event] = _class_at(path, f"the event {path} that the service {service!r} hears", why)
    return event


def settings_at(path: str, service: str) -> type[Settings]:
    """Import a settings class of a service that need not live here; raises ConfigurationError that says why not."""
    why = "keep settings in a module beside the service's own, which needs nothing of its packages"
    settings: type[Settings] = _class_at(path, f"the settings {path} of the service {service!r}", why)
    return settings


def _class_at(path: str, what: str, why: str) -> Any:
    try:
        return load_object(_reference(path, what))
    except ConfigurationError as error:
        # A package that is missing here: the module holds more than a contract. Other failures speak for themselves.
        if not isinstance(error.__cause__, ImportError):
            raise
        raise ConfigurationError(f"{what} cannot be imported by {sys.executable}: {error.__cause__}; {why}") from error


def _reference(target: str, origin: str) -> Reference:
    module, _, attribute = target.partition(":")
    # The package on top alone is looked for: to find a module below it would import what lies between.
    top = importlib.util.find_spec(module.partition(".")[0])
    places = [] if top is None else list(top.submodule_search_locations or ())
    return Reference(origin, Path(places[0]).parent if places else Path.cwd(), module=module, attribute=attribute)


def _shown(found: Any) -> str:
    return found.__name__ if isinstance(found, type) else f"an object of type {type(found).__name__}"
