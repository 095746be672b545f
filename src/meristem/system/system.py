"""A system as its author writes it: services, apps and programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast, overload

import msgspec

from meristem.errors import WiringError
from meristem.services.service import Service

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
        middleware: Sequence[Middleware]
        outgoing: Sequence[Middleware]


NAME: Final = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")
TARGET: Final = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$")


class App(msgspec.Struct, frozen=True):
    """Any ASGI or WSGI application, unmodified, under the path `mount`.

    `target` is the application itself or says where it is: `"hotels.web.app:app"`.
    """

    name: str
    target: Any
    mount: str = "/"


class Program(msgspec.Struct, frozen=True):
    """A program in any language that runs beside the services.

    It is given `PORT`, a free port to listen on, and the address of every service and app (`SEARCH_URL`).
    `health` is the path that answers 2xx when it is ready, if it has one.
    """

    name: str
    command: Sequence[str]
    health: str | None = None
    environment: Mapping[str, str] = {}


class System:
    """Services that work together: `System("hotels", services=[SearchService, PaymentsService])`.

    A service may be named by where its class is, `"hotels.search.service:SearchService"`: then it is imported only in
    the process in which it lives; type checkers want a list of classes or one of names. `authenticate` turns a bearer
    token from outside into an identity, None for a token that is not valid. `api` is the prefix of the REST interface.
    `middleware` wraps every operation at its service, `outgoing` every call where it is made; the first is outermost.
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
        middleware: Sequence[Middleware] = (),
        outgoing: Sequence[Middleware] = (),
    ) -> None:
        self.name = name
        self.services = cast("tuple[type[Service] | str, ...]", tuple(services))
        self.apps = tuple(apps)
        self.programs = tuple(programs)
        self.authenticate = authenticate
        self.api = api.rstrip("/")
        self.middleware = tuple(middleware)
        self.outgoing = tuple(outgoing)
        self._check()

    def _check(self) -> None:
        for service in self.services:
            if isinstance(service, str):
                if not TARGET.match(service):
                    raise WiringError(f'{self.name}: {service!r} names no service; write "package.module:ClassName"')
            elif not (isinstance(service, type) and issubclass(service, Service)):
                raise WiringError(f"{self.name}: {service!r} is no service; derive its class from Service")
        check_parts(self, [each.service_name for each in self.services if not isinstance(each, str)])
        mounts = [app.mount.rstrip("/") for app in self.apps]
        shared = {mount for mount in mounts if mounts.count(mount) > 1}
        if shared:
            raise WiringError(f"{self.name}: two apps are mounted at {min(shared) or '/'!r}")


def check_parts(system: System, services: Sequence[str]) -> None:
    """Raise WiringError for a name that cannot stand in a path or variable, and for one that two parts have."""
    parts = [*services, *(each.name for each in system.apps), *(each.name for each in system.programs)]
    for part in (system.name, *parts):
        if not NAME.match(part):
            raise WiringError(f"{part!r} cannot name a part of a system: use a-z, 0-9, - and _, a letter first")
    twice = {part for part in parts if parts.count(part) > 1}
    if twice:
        raise WiringError(f"{system.name}: two parts are named {min(twice)!r}; give one another name")
