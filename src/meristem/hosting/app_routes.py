"""The paths that an app has views at, of those frameworks that tell them cheaply; none of them is imported here."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DJANGO: Final = "django.core.handlers."
BELOW: Final = "{path:path}"


def routes_of(app: Any) -> list[str]:
    """The paths as Starlette writes them: `/items/{id}`, `/files/{path:path}`; empty where the framework tells none.

    Known are Starlette, FastAPI, Flask, Quart and Django. An app that is wrapped by another tells nothing.
    """
    if isinstance(routes := getattr(app, "routes", None), list):
        return list(dict.fromkeys(_of_starlette(routes)))
    if callable(rules := getattr(getattr(app, "url_map", None), "iter_rules", None)):
        return list(dict.fromkeys(_as_starlette(each.rule) for each in rules()))
    if type(app).__module__.startswith(DJANGO) and (urls := sys.modules.get("django.urls")) is not None:
        return list(dict.fromkeys(_of_django(urls.get_resolver().url_patterns, "/")))
    return []


def _of_starlette(routes: Iterable[Any]) -> Iterator[str]:
    # FastAPI's own way to look into routers that it has included, and keeps apart.
    contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    for route in routes if contexts is None else contexts(routes):
        path = getattr(route, "path", None)
        if not isinstance(path, str):  # a Host, which is no path
            continue
        inner = getattr(route, "routes", None)
        if inner is None:
            yield path
        elif inner:
            yield from (path + each for each in _of_starlette(inner))
        else:  # a mount whose app tells nothing, as that of static files
            yield f"{path}/{BELOW}"


def _of_django(patterns: Iterable[Any], above: str) -> Iterator[str]:
    for each in patterns:
        pattern = str(each.pattern)
        if pattern.startswith("^") or pattern.endswith("$"):  # a regular expression
            continue
        path = above + pattern
        if (inner := getattr(each, "url_patterns", None)) is None:
            yield _as_starlette(path)
        else:
            yield from _of_django(inner, path)


def _as_starlette(rule: str) -> str:
    """A rule of Flask, Quart or Django, `/items/<int:id>`, in the other notation."""
    return re.sub(r"<(?:[^<>]*:)?([^<>:]+)>", r"{\1}", re.sub(r"<path(?:\([^<>]*\))?:[^<>]+>", BELOW, rule))
