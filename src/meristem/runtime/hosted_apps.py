"""The apps that a process hosts: loaded, alive, and each behind its entrance."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from meristem.config.project import explained, load_object, parse
from meristem.config.settings import OF_APP
from meristem.contracts.call import connected
from meristem.errors import ConfigurationError
from meristem.hosting.asgi.entrance import AppSurroundings, Entrance
from meristem.hosting.asgi.lifespan import Lifespan
from meristem.hosting.loading import load_app
from meristem.hosting.shadowing import tell_shadowed
from meristem.runtime.settings_source import AppSettings
from meristem.runtime.taken_paths import taken_paths
from meristem.system.beside import path_text
from meristem.telemetry.logging import follow_structlog
from meristem.transports.authorize import bearer_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from meristem.context import Identity
    from meristem.hosting.asgi.entrance import UserOf
    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.lifecycle import Stack
    from meristem.runtime.assembly import Assembly
    from meristem.system.beside import App
    from meristem.transports.authorize import Authenticate

ContractT = TypeVar("ContractT")
Result = TypeVar("Result")


async def start_apps(assembly: Assembly, stack: Stack, *, described: bool) -> dict[str, ASGIApp]:
    """Start the apps that live in a process; by name what takes the requests of each.

    What of an app's paths is the system's own is logged; `described` says that the API page is, too. Raises
    ConfigurationError for an app that can't be loaded, and OperationError for one that does not start.
    """
    system = assembly.blueprint.system
    user_of = None if system.authenticate is None else _user_of(system.authenticate)
    taken = taken_paths(assembly.blueprint.plan, described=described)
    found: dict[str, ASGIApp] = {}
    for app in system.apps:
        if app.name not in assembly.process.apps:
            continue
        settings = AppSettings(assembly.settings, app.name)
        root = assembly.options.directory / (path_text(app.folder) or "")
        connector = AppConnector(assembly, app.name)
        with connected(connector), _loading_by(settings):
            loaded = load_app(app.name, app.target, root, assembly.limits)
            follow_structlog()  # the app may have imported it
            tell_shadowed(app.name, app.mount, loaded.routes, taken)
            surrounded = _with_middleware(app, loaded.app, assembly.options.directory)
            living = Lifespan(app.name, surrounded)
            # Before the server is there: a lifespan that fails must end the start, not a request.
            await stack.start(living)
        settings.warn_of_unclaimed()
        requests = assembly.telemetry.requests(app.name)
        surroundings = AppSurroundings(connector, settings, user_of, app.timeout, assembly.follows)
        found[app.name] = Entrance(app.name, living, surroundings, requests)
    return found


class AppConnector:
    """Gives an app its clients, whose calls are known to be its own."""

    def __init__(self, assembly: Assembly, app: str) -> None:
        self._assembly = assembly
        self._app = app

    def client(self, contract: Callable[..., ContractT]) -> ContractT:
        return self._assembly.client(contract, app=self._app)

    def wait(self, work: Awaitable[Result]) -> Result:
        return self._assembly.wait(work)


def _with_middleware(app: App, asgi: ASGIApp, root: Path) -> ASGIApp:
    """The application behind its middleware, whose first is outermost; raises ConfigurationError."""
    for each in reversed(app.middleware):
        where = f"app {app.name!r}: middleware {each!r}"
        layer = load_object(parse(each, where, root)) if isinstance(each, str) else each
        try:
            asgi = layer(asgi)
        except Exception as error:
            raise ConfigurationError(f"{where} failed: {explained(error)}") from error
        if not callable(asgi):
            raise ConfigurationError(f"{where} gave {type(asgi).__name__}; it must give an ASGI application")
    return asgi


@contextmanager
def _loading_by(settings: AppSettings) -> Iterator[None]:
    token = OF_APP.set(settings)
    try:
        yield
    finally:
        OF_APP.reset(token)


def _user_of(authenticate: Authenticate) -> UserOf:
    async def user_of(authorization: bytes) -> Identity | None:
        bearer = bearer_of(authorization)
        return None if bearer is None else await authenticate(bearer)

    return user_of
