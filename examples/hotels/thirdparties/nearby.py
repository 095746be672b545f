"""Who may reach what stands in for a third party: programs on its own host, and others only where that is wanted.

The bank shows every charge, the mailbox every letter, the partner does what anybody tells it. ``THIRDPARTIES_OPEN=1``
opens them to all hosts. A request that came through a proxy comes from elsewhere, wherever the proxy runs.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

OPEN = "THIRDPARTIES_OPEN"
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
WORDS = f"This stands in for a third party and serves its own host only; {OPEN}=1 opens it to others.\n".encode()
HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(WORDS)))]


def is_near(peer: str | None, headers: Iterable[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a request is answered: from a peer with this address, None or empty on a Unix socket."""
    if environment.get(OPEN, "0") == "1":
        return True
    if any(name.lower() in FORWARDED for name in headers):
        return False
    if not peer:
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def nearby(app: AsgiApp) -> AsgiApp:
    """An ASGI app for its own host."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        peer = (scope.get("client") or (None,))[0]
        if is_near(peer, [name.decode("latin-1") for name, _ in scope["headers"]]):
            return await app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": WORDS})
        return None

    return guarded


def nearby_wsgi(app: WsgiApp) -> WsgiApp:
    """A WSGI app for its own host."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        sent = [name.removeprefix("HTTP_").replace("_", "-") for name in environ if name.startswith("HTTP_")]
        if is_near(environ.get("REMOTE_ADDR"), sent):
            return app(environ, start_response)
        start_response("403 Forbidden", HEADERS)
        return [WORDS]

    return guarded
