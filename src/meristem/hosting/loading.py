"""Loads an application and tells whether it speaks ASGI or WSGI."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from meristem.config.project import explained, load_object, parse
from meristem.errors import ConfigurationError, MeristemError
from meristem.hosting.app_routes import routes_of

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.resilience.limits import Limits


class LoadedApp(NamedTuple):
    """An application as ASGI, and the paths that its framework tells of it (`routes_of`)."""

    app: ASGIApp
    routes: list[str]


def load_app(name: str, target: Any, root: Path, limits: Limits) -> LoadedApp:
    """The application as ASGI; a WSGI one is wrapped so that it runs in threads, as many as `limits` say.

    `target` is the application or says where it is (`"shop.web:app"`, importable from `root`) or what makes it
    (`"shop.web:create_app()"`). Raises ConfigurationError when it is neither ASGI nor WSGI.
    """
    app = _found(name, target, root) if isinstance(target, str) else target
    if not callable(app):
        raise ConfigurationError(f"app {name!r}: {target!r} is {type(app).__name__}, not an application")
    if speaks_asgi(app):
        return LoadedApp(app, routes_of(app))
    if speaks_wsgi(app):
        from meristem.hosting.wsgi.application import WSGIHost  # noqa: PLC0415 - only who has a WSGI app pays for it

        return LoadedApp(WSGIHost(name, app, limits), routes_of(app))
    raise ConfigurationError(
        f"app {name!r}: {target!r} takes neither (scope, receive, send) nor (environ, start_response); "
        f'name the application object, or a function that makes it, with brackets: "shop.web:create_app()"'
    )


def _found(name: str, target: str, root: Path) -> Any:
    """What a text names, or what the function returns that it names with brackets."""
    found = load_object(parse(target.removesuffix("()"), f"app {name!r}", root))
    if not target.endswith("()"):
        return found
    if not callable(found):
        raise ConfigurationError(f"app {name!r}: {target!r} calls {type(found).__name__}; leave the brackets out")
    try:
        made = found()
    except MeristemError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"app {name!r}: {target!r} failed: {explained(error)}") from error
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(
            f"app {name!r}: {target!r} is async; make the app by an ordinary function, and await in its lifespan"
        )
    return made


def speaks_asgi(app: Any) -> bool:
    """Whether calling the application gives a coroutine, or it takes what ASGI 3 gives, and hands that on."""
    calls = (app, type(app).__call__)
    return any(inspect.iscoroutinefunction(inspect.unwrap(each)) for each in calls) or _takes(app, 3)


def speaks_wsgi(app: Any) -> bool:
    """Whether the application takes `environ` and `start_response` (PEP 3333)."""
    return _takes(app, 2)


def _takes(app: Any, count: int) -> bool:
    """Whether `app` asks for so many arguments by position; two are also what one that takes any number gets."""
    try:
        signature = inspect.signature(app, follow_wrapped=False)  # a decorator may change what is taken
    except ValueError:  # a callable of an extension module tells no signature; WSGI servers would just call it
        return count == 2
    parameters = signature.parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return count == 2
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len([each for each in by_position if each.default is each.empty]) == count
