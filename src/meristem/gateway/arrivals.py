"""The inner side of forwarding: requests that the edge hands to the apps of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.asgi import OF_WEBSOCKETS
from meristem.hosting.asgi.entrance import HANDED_ON
from meristem.hosting.asgi.refusal import refuse
from meristem.security.forwarding import APP, GATEWAY_ROUTE, ORIGIN, ROUTE, read_origin
from meristem.security.identity_fields import STATE as USER
from meristem.transports.metadata import TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.asgi import ASGIApp, Field, Receive, Scope, Send
    from meristem.transports.authorize import Verify

NO_HOST: Final = (b"host", b"")  # the edge must name one, and its client, of HTTP/1.0, named none


class Arrivals:
    """An ASGI application for addresses that are not public: one for an app of `apps` goes there, all else `besides`.

    The app finds client, server and scheme as the edge saw them. That is believed only with a token of the system.
    """

    def __init__(self, apps: Mapping[str, ASGIApp], besides: ASGIApp, verify: Verify) -> None:
        self._apps = {name.encode(): app for name, app in apps.items()}
        self._besides = besides
        self._verify = verify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said: dict[bytes, bytes] = {}
        fields: list[Field] = []
        for field in scope["headers"]:
            if field[0] in (APP, ORIGIN, ROUTE, TOKEN):
                said[field[0]] = field[1]
            elif field != NO_HOST:
                fields.append(field)
        if APP not in said:
            await self._besides(scope, receive, send)
            return
        app, origin = self._apps.get(said[APP]), read_origin(said.get(ORIGIN, b""))
        edge = self._verify(said.get(TOKEN, b"").decode("latin-1"))
        if edge is None or origin is None:
            await _refuse(scope, send, 403, "apps are reached at the public address of the system")
        elif app is None:
            await _refuse(scope, send, 404, "this app does not live here")
        else:
            client, server, scheme = origin
            scheme = OF_WEBSOCKETS[scheme] if scope["type"] == "websocket" else scheme
            state = {**scope.get("state", {}), HANDED_ON: True}
            if edge.user is not None:
                state[USER] = edge.user
            if ROUTE in said:
                state[GATEWAY_ROUTE] = said[ROUTE].decode("latin-1")
            told = {"headers": fields, "client": client, "server": server, "scheme": scheme, "state": state}
            await app({**scope, **told}, receive, send)


async def _refuse(scope: Scope, send: Send, status: int, detail: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await refuse(send, status, detail)
