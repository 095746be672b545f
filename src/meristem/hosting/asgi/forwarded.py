"""Tells apps where a request came from, as the trusted proxies before this process say; no other word gets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.asgi import OF_WEBSOCKETS
from meristem.hosting.asgi.refusal import refuse
from meristem.security.forwarding import ContradictionError, is_forwarded

if TYPE_CHECKING:
    from meristem.asgi import Scope
    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.security.forwarding import ClientOrigin, TrustedProxies

PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Forwarded:
    """An ASGI application before `app`: client, scheme and host are those of the request at the first proxy."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if not any(is_forwarded(name) for name, _ in scope.get("headers", ())):
            await self._app(scope, receive, send)
            return
        try:
            origin = self._proxies.origin(peer_of(scope.get("client")), scope["headers"])
        except ContradictionError as error:
            await _refuse(scope, send, f"{error}: the proxy must set or remove both")
            return
        await self._app(told(scope, origin), receive, send)


def peer_of(client: tuple[str, int | None] | None) -> str | None:
    """The address of a peer; None on a Unix socket, where it may have given itself any name, but has no port."""
    return None if client is None or client[1] is None else client[0]


def told(scope: Scope, origin: ClientOrigin) -> dict[str, Any]:
    """The scope as it would be without proxies."""
    seen = {**scope, "headers": origin.fields}
    if origin.client is not None:
        seen["client"] = origin.client
    if origin.scheme is not None:
        seen["scheme"] = OF_WEBSOCKETS[origin.scheme] if scope["type"] == "websocket" else origin.scheme
    if origin.host is not None:
        others = [each for each in origin.fields if each[0] != b"host"]
        seen["headers"] = [(b"host", origin.host.encode()), *others]
        name, port = _split(origin.host)
        seen["server"] = (name, port or PORTS.get(seen.get("scheme", "http"), 80))
    return seen


def _split(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    return (name or host).strip("[]"), int(port) if name and port else 0


async def _refuse(scope: dict[str, Any], send: Any, detail: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await refuse(send, 400, detail)
