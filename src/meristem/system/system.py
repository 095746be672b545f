"""A system as its author writes it: services, apps and programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast, overload

from meristem.contracts.about import About
from meristem.errors import WiringError
from meristem.services.service import Service, is_contract, snake
from meristem.system.beside import TARGET, App, Program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypedDict, Unpack

    from meristem.context import Identity
    from meristem.contracts.call import Middleware
    from meristem.services.service import Complete

    class Others(TypedDict, total=False):
        """What a system has beside its services."""

        apps: Sequence[App]
        programs: Sequence[Program]
        authenticate: Callable[[str], Awaitable[Identity | None]] | None
        api: str
        about: About
        middleware: Sequence[Middleware]
        outgoing: Sequence[Middleware]
        external: Mapping[type[Any], str | None]


NAME: Final = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")


class System:
    """Services that work together: `System("hotels", services=[SearchService, PaymentsService])`.

    A service may be named by where its class is, `"hotels.search.service:SearchService"`: then it is imported only in
    the process in which it lives; type checkers want a list of classes or one of names. `authenticate` turns a bearer
    token from outside into an identity, None for a token that is not valid. `api` is the prefix of the REST interface,
    and `about` what its description says of the whole. `middleware` wraps every operation at its service, `outgoing`
    every call where it is made; the first is outermost. `external` maps contracts to the addresses of systems of other
    teams that implement them, None for one that a placement or variable tells.
    Raises WiringError for what is no service class, and for a name that is taken twice or that cannot stand in a
    path or variable.
    """

    # Not one list of both kinds: only where a class alone is wanted does a type checker report one that lacks a method.
    @overload
    def __init__(self, name: str, *, services: Sequence[type[Complete]] = ..., **others: Unpack[Others]) -> None: ...

    @overload
    def __init__(self, name: str, *, services: Sequence[str], **others: Unpack[Others]) -> None: ...

    def __init__(
        self,
        name: str,
        *,
        services: Sequence[Any] = (),
        apps: Sequence[App] = (),
        programs: Sequence[Program] = (),
        authenticate: Callable[[str], Awaitable[Identity | None]] | None = None,
        api: str = "/api",
        about: About | None = None,
        middleware: Sequence[Middleware] = (),
        outgoing: Sequence[Middleware] = (),
        external: Mapping[type[Any], str | None] | None = None,
    ) -> None:
        self.name = name
        self.services = cast("tuple[type[Service] | str, ...]", tuple(services))
        self.apps = tuple(apps)
        self.programs = tuple(programs)
        self.authenticate = authenticate
        self.api = api.rstrip("/")
        self.about = about or About()
        self.middleware = tuple(middleware)
        self.outgoing = tuple(outgoing)
        self.external = {contract: address or "" for contract, address in (external or {}).items()}
        self._check()

    def _check(self) -> None:
        for service in self.services:
            if isinstance(service, str):
                if not TARGET.match(service):
                    raise WiringError(f'{self.name}: {service!r} names no service; write "package.module:ClassName"')
            elif not (isinstance(service, type) and issubclass(service, Service)):
                raise WiringError(f"{self.name}: {service!r} is no service; {_place_of(service)}")
        for given, kind in (("apps", App), ("programs", Program)):
            for each in getattr(self, given):
                if not isinstance(each, kind):
                    raise WiringError(f"{self.name}: {given}= holds {each!r}; {_place_of(each)}")
        for contract in self.external:
            if not is_contract(contract):
                raise WiringError(f"{self.name}: external={{{contract!r}: …}}: name a contract, as in {{Payments: …}}")
        check_parts(self, [each.service_name for each in self.services if not isinstance(each, str)])
        self._check_beside()

    def _check_beside(self) -> None:
        problems = [
            *((f"app {app.name!r}", app.problem()) for app in self.apps),
            *((f"program {program.name!r}", program.problem()) for program in self.programs),
        ]
        for part, problem in problems:
            if problem is not None:
                raise WiringError(f"{self.name}: {part}: {problem}")
        paths = [*(app.mount for app in self.apps), *(each.mount for each in self.programs if each.mount is not None)]
        mounts = [path.rstrip("/") for path in paths]
        shared = {mount for mount in mounts if mounts.count(mount) > 1}
        if shared:
            raise WiringError(f"{self.name}: two parts are mounted at {min(shared) or '/'!r}")


def _place_of(part: Any) -> str:
    """What to do with a part that stands in the wrong list."""
    if isinstance(part, App | Program):
        return "give it in apps=[…]" if isinstance(part, App) else "give it in programs=[…]"
    if isinstance(part, Service):
        return f"give its class in services=[…]: {type(part).__name__}"
    if isinstance(part, type):
        return "give it in services=[…]" if issubclass(part, Service) else "derive its class from Service"
    if callable(part) or isinstance(part, str):
        return 'give it a name, in apps=[…]: App("web", …)'
    return "write what it is: a class of a service, App(…) in apps=[…] or Program(…) in programs=[…]"


def external_name(contract: type[Any]) -> str:
    """What an external system is called, by the contract that it implements: `payments`."""
    return snake(contract.__name__)


def check_parts(system: System, services: Sequence[str]) -> None:
    """Raise WiringError for a name that cannot stand in a path or variable, and for one that two parts have."""
    parts = [*services, *(each.name for each in system.apps), *(each.name for each in system.programs)]
    parts += map(external_name, system.external)
    for part in (system.name, *parts):
        if not NAME.match(part):
            raise WiringError(f"{part!r} cannot name a part of a system: use a-z, 0-9, - and _, a letter first")
    twice = {part for part in parts if parts.count(part) > 1}
    if twice:
        raise WiringError(f"{system.name}: two parts are named {min(twice)!r}; give one another name")
