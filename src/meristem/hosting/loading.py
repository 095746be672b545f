"""Loads an application and tells whether it speaks ASGI or WSGI."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from meristem.config.project import load_object, parse
from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.resilience.limits import Limits


def load_app(name: str, target: Any, root: Path, limits: Limits) -> ASGIApp:
    """The application as ASGI; a WSGI one is wrapped so that it runs in threads, as many as `limits` say.

    `target` is the application or says where it is (`"shop.web:app"`, importable from `root`). Raises
    ConfigurationError when it is neither ASGI nor WSGI.
    """
    app = load_object(parse(target, f"app {name!r}", root)) if isinstance(target, str) else target
    if not callable(app):
        raise ConfigurationError(f"app {name!r}: {target!r} is {type(app).__name__}, not an application")
    if speaks_asgi(app):
        return app
    if speaks_wsgi(app):
        from meristem.hosting.wsgi.application import WSGIHost  # noqa: PLC0415 - only who has a WSGI app pays for it

        return WSGIHost(name, app, limits)
    raise ConfigurationError(
        f"app {name!r}: {target!r} takes neither (scope, receive, send) nor (environ, start_response); "
        f"name the application object, not a function that makes it"
    )


def speaks_asgi(app: Any) -> bool:
    """Whether calling the application gives a coroutine (ASGI 3)."""
    call = app if inspect.isfunction(app) or inspect.ismethod(app) else type(app).__call__
    return inspect.iscoroutinefunction(inspect.unwrap(call))


def speaks_wsgi(app: Any) -> bool:
    """Whether the application takes `environ` and `start_response` (PEP 3333)."""
    try:
        parameters = [
            each
            for each in inspect.signature(app).parameters.values()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
    except ValueError:  # a callable of an extension module tells no signature; WSGI servers would just call it
        return True
    return len(parameters) == 2
