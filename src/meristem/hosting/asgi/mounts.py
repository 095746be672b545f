"""Several applications under one address, each below its own path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.asgi import respond
from meristem.hosting.asgi.refusal import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.hosting.asgi.protocol import ASGIApp


class Mounts:
    """An ASGI application that hands each request to the app with the longest fitting path."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = sorted(((path.rstrip("/"), app) for path, app in apps.items()), key=lambda each: -len(each[0]))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        for mount, app in self._apps:
            if path == mount and mount and scope["type"] == "http":
                await _redirect(mount, scope, send)
                return
            if path.startswith(mount + "/"):
                await app(_below(mount, scope), receive, send)
                return
        await _not_found(scope, send)


def _below(mount: str, scope: dict[str, Any]) -> dict[str, Any]:
    """The scope as the app sees it: `path` keeps the whole path, `root_path` says what of it is the mount (ASGI 3)."""
    if not mount:
        return scope
    return {**scope, "root_path": scope.get("root_path", "") + mount}


async def _redirect(mount: str, scope: dict[str, Any], send: Any) -> None:
    query: bytes = scope["query_string"]
    location = (scope.get("root_path", "") + mount + "/").encode() + (b"?" + query if query else b"")
    await respond(send, 307, fields=[(b"location", location)])


async def _not_found(scope: dict[str, Any], send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    await refuse(send, 404, "nothing is mounted at this path")
