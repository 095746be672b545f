"""What a user derives a service from, and what that class says of itself."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, get_type_hints

import msgspec

from meristem.clock import Clock
from meristem.config.settings import Settings
from meristem.contracts.call import Middleware
from meristem.contracts.contract import Contract, contracts_of, operations
from meristem.contracts.operation import Operation, Semantics
from meristem.errors import WiringError

if TYPE_CHECKING:
    from sqlalchemy import MetaData

T = TypeVar("T")


class Progress(Protocol):
    """Shows how far long work at a start has come; ask for it in a constructor."""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
        """Hand on `items` while showing how many have passed, of `total` if it is known."""
        ...


class Service:
    """An implementation of contracts: `class PaymentsService(Payments, Service, tables=metadata)`.

    The parameters of its constructor, which may be a dataclass's, are found by type: a contract gives a client,
    `Database` the service's own database, a `Settings` class its settings, `Clock` and `Progress` themselves, and
    what `provides` lists (classes and annotated functions, whose own parameters are found the same way). Migrations
    lie in `migrations/versions` beside the service's module; without them the tables are created as they are.
    `middleware` wraps each of its operations inside its context, `outgoing` each call that it makes; the first is
    outermost. A service that was renamed says by `formerly` what it was called first: what it keeps, and what others
    keep for it, is found by that name.
    """

    service_name: ClassVar[str] = ""
    formerly: ClassVar[str] = ""
    tables: ClassVar[MetaData | None] = None
    provides: ClassVar[tuple[Callable[..., Any], ...]] = ()
    middleware: ClassVar[tuple[Middleware, ...]] = ()
    outgoing: ClassVar[tuple[Middleware, ...]] = ()

    def __init_subclass__(
        cls,
        *,
        tables: MetaData | None = None,
        provides: Iterable[Callable[..., Any]] = (),
        middleware: Iterable[Middleware] = (),
        outgoing: Iterable[Middleware] = (),
        name: str | None = None,
        formerly: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.tables = tables if tables is not None else cls.tables
        cls.provides = tuple(provides) or cls.provides
        cls.middleware = tuple(middleware) or cls.middleware
        cls.outgoing = tuple(outgoing) or cls.outgoing
        # `@dataclass(slots=True)` makes the class once more: what its line said is in its own attributes alone.
        cls.service_name = name or cls.__dict__.get("service_name") or default_name(cls.__name__)
        cls.formerly = formerly or cls.__dict__.get("formerly") or ""  # of this class alone, as its name is

    async def start(self) -> None:
        """Become ready; called after the database is, before the first call arrives."""

    async def stop(self) -> None:
        """Release what `start` took."""


class Complete(Protocol):
    """A service class that implements all that its contracts declare.

    Type checkers that know which methods are still missing (mypy) report a class that lacks one where a
    `type[Complete]` is wanted, because this is a protocol; for `type[Service]` they would not.
    """

    service_name: ClassVar[str]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def default_name(cls: str) -> str:
    """The name of a service whose class names none: `documents` for `DocumentsService`."""
    return snake(cls.removesuffix("Service")) or snake(cls)


def snake(name: str) -> str:
    """`OrderHistory` as `order_history`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Need(msgspec.Struct, frozen=True):
    """A constructor parameter and the type it is found by."""

    parameter: str
    type: Any


class Provider(msgspec.Struct, frozen=True):
    """A class or function of `provides`: what it makes and what it needs for it."""

    make: Callable[..., Any]
    makes: Any
    needs: tuple[Need, ...]


class ServiceSpec(msgspec.Struct, frozen=True):
    """A service class, understood."""

    name: str
    implementation: type[Service]
    contracts: tuple[type[Contract], ...]
    operations: Mapping[str, Operation]
    needs: tuple[Need, ...]
    providers: tuple[Provider, ...]

    @property
    def kept_as(self) -> str:
        """The name by which what it keeps is found, and what others keep for it."""
        return self.implementation.formerly or self.name

    def all_needs(self) -> Iterable[Need]:
        """What the service and its providers ask for."""
        return (*self.needs, *(need for provider in self.providers for need in provider.needs))

    @property
    def calls(self) -> tuple[type[Contract], ...]:
        """The contracts it asks for: its edges in the call graph."""
        return tuple(dict.fromkeys(need.type for need in self.all_needs() if is_contract(need.type)))

    @property
    def settings(self) -> tuple[type[Settings], ...]:
        """The settings classes it asks for."""
        found = [need.type for need in self.all_needs() if is_settings(need.type)]
        return tuple(dict.fromkeys(found))

    @property
    def answers_once(self) -> bool:
        """Whether any of its operations keeps answers."""
        return any(each.semantics is Semantics.ONCE for each in self.operations.values())


def is_contract(type_: Any) -> bool:
    """Whether the type is a contract itself, not an implementation."""
    # Its own, not an inherited one: an implementation has the name of its contract, too.
    return isinstance(type_, type) and bool(type_.__dict__.get("contract_name"))


def is_settings(type_: Any) -> bool:
    """Whether the type is a settings class."""
    return isinstance(type_, type) and issubclass(type_, Settings)


def is_database(type_: Any) -> bool:
    """Whether the type is Database; a program that never named it has not paid for importing SQLAlchemy."""
    storage = sys.modules.get("meristem.storage.database")
    return storage is not None and type_ is storage.Database


def describe(service: type[Service]) -> ServiceSpec:
    """Understand a service class; raises WiringError that names class, parameter and remedy."""
    try:
        return _described(service)
    except WiringError as error:
        error.subjects = (service,)  # no line of the program runs now: whoever shows it may look there
        raise


def _described(service: type[Service]) -> ServiceSpec:
    contracts = contracts_of(service)
    known: dict[str, Operation] = {}
    for contract in contracts:
        for name, operation in operations(contract).items():
            if name in known:
                raise WiringError(
                    f"{service.__name__}: both {known[name].contract} and {operation.contract} declare {name!r}; "
                    f"implement them in two services"
                )
            # By identity: what a contract declares is a method with a body, so a class that lacks it can be made.
            if getattr(service, name) is getattr(contract, name):
                raise WiringError(f"{service.__name__} does not implement {contract.__name__}.{name}")
            known[name] = operation
    providers = tuple(_provider(service, make) for make in service.provides)
    makes = tuple(provider.makes for provider in providers)
    needs = _needs(service, constructor(service))
    for need in (*needs, *(each for provider in providers for each in provider.needs)):
        _check_need(service, need, makes, contracts)
        _check_computes(service, need, known)
    return ServiceSpec(service.service_name, service, contracts, known, needs, providers)


def constructor(cls: type) -> Callable[..., Any]:
    """The function that initialises instances of the class."""
    found: Callable[..., Any] = inspect.getattr_static(cls, "__init__")
    return found


def _needs(owner: type | Callable[..., Any], function: Callable[..., Any]) -> tuple[Need, ...]:
    # The second is what `typing` gives a Protocol in place of a constructor.
    if function is object.__init__ or function.__name__ == "_no_init_or_replace_init":
        return ()
    label = getattr(owner, "__name__", repr(owner))
    try:
        hints = _hints(owner, function)
    except NameError as error:
        raise WiringError(f"{label}: {error.name!r} in its constructor is not defined where the class is") from None
    needs = []
    for parameter in inspect.signature(function).parameters.values():
        # A default is the programmer's own answer.
        if parameter.name == "self" or parameter.default is not inspect.Parameter.empty:
            continue
        if parameter.name not in hints:
            raise WiringError(f"{label}: annotate the parameter {parameter.name!r}; parameters are found by type")
        needs.append(Need(parameter.name, hints[parameter.name]))
    return tuple(needs)


def _hints(owner: type | Callable[..., Any], function: Callable[..., Any]) -> dict[str, Any]:
    """The types of a constructor's parameters; raises NameError."""
    maker = next((each for each in getattr(owner, "__mro__", ()) if each.__dict__.get("__init__") is function), None)
    fields = {} if maker is None else maker.__dict__.get("__dataclass_fields__", {})
    given = {name: each for name, each in function.__annotations__.items() if name != "return"}
    if maker is None or any(name not in fields or fields[name].type is not each for name, each in given.items()):
        return get_type_hints(function)  # one that is written, also in a dataclass
    # A dataclass makes its constructor in its own module, where the text of an inherited field's type may mean nothing.
    return {name: _field_type(maker, name) for name in given}


def _field_type(cls: type, name: str) -> Any:
    """The type of a dataclass's field, as it is meant in the class that declares it last."""
    declares = next(each for each in cls.__mro__ if name in inspect.get_annotations(each))
    annotation = SimpleNamespace(__annotations__={name: inspect.get_annotations(declares)[name]})
    known = sys.modules.get(declares.__module__)
    hint = get_type_hints(annotation, vars(known) if known else {}, dict(vars(declares)))[name]
    return hint.type if isinstance(hint, InitVar) else hint


def _provider(service: type[Service], make: Callable[..., Any]) -> Provider:
    if isinstance(make, type):
        return Provider(make, make, _needs(make, constructor(make)))
    try:
        makes = get_type_hints(make).get("return")
    except NameError as error:
        raise WiringError(f"{service.__name__}: {error.name!r} is not defined where {make.__name__} is") from None
    if makes is None:
        raise WiringError(f"{service.__name__}: annotate what {make.__name__} returns; it is found by that type")
    return Provider(make, makes, _needs(make, make))


def _check_need(service: type[Service], need: Need, makes: tuple[Any, ...], own: tuple[type[Contract], ...]) -> None:
    if need.type in own:
        raise WiringError(f"{service.__name__} asks for {need.type.__name__}, its own contract; call self instead")
    known = need.type in makes or need.type in (Clock, Progress) or is_contract(need.type) or is_settings(need.type)
    if not known and not is_database(need.type):
        shown = getattr(need.type, "__name__", need.type)
        raise WiringError(
            f"{service.__name__}: nothing gives its parameter `{need.parameter}: {shown}`; ask for a contract, "
            f"Database, Settings, Clock or Progress, or list what makes {shown} in provides=[...]"
        )


def _check_computes(service: type[Service], need: Need, known: Mapping[str, Operation]) -> None:
    """Refuse what no worker has, where an operation runs in workers."""
    computing = next((each for each in known.values() if each.cpu), None)
    if computing is not None and (is_contract(need.type) or is_database(need.type)):
        raise WiringError(
            f"{service.__name__} asks for {need.type.__name__}, and {computing.label} is cpu=True: it runs in worker "
            f"processes, which have neither clients nor a database; let a service of its own compute, and call that"
        )
