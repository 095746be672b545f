"""What is told of a request to an app and of its answer, read off the messages of ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.security.forwarding import GATEWAY_ROUTE
from meristem.telemetry.http_requests import CLIENT_LEFT, FAILED, HttpExchange

if TYPE_CHECKING:
    from meristem.asgi import Scope

SWITCHED: Final = 101
CLOSED: Final = 403  # what a WebSocket that is closed before it is accepted is answered with
LEAVING: Final = ("http.disconnect", "websocket.disconnect")
STATE: Final = "state"
TOLD: Final = "told"


def claim(scope: Scope) -> None:
    """Say that the line of the access log is written by who has the request from here on."""
    scope.setdefault(STATE, {})[TOLD] = True


def disclaim(scope: Scope) -> None:
    """Say that the request has reached nobody who tells of it."""
    scope.setdefault(STATE, {})[TOLD] = False


def is_claimed(scope: Scope) -> bool:
    """Whether somebody tells of the request."""
    claimed: bool = scope.get(STATE, {}).get(TOLD, False)
    return claimed


def exchange_of(scope: Scope) -> HttpExchange:
    """What a scope says of its request."""
    raw: bytes | None = scope.get("raw_path")
    path = scope["path"].encode() if raw is None else raw
    client = scope.get("client")
    return HttpExchange(
        scope.get("method", "GET"),  # a WebSocket begins with nothing else
        path.decode("ascii", "backslashreplace"),
        scope.get("scheme", "http"),
        client[0] if client else "",
        gateway_route=scope.get(STATE, {}).get(GATEWAY_ROUTE, ""),
    )


def hear(exchange: HttpExchange, message: Any) -> None:
    """Note that the client has left, unless it has had the beginning of an answer: what is sent then goes nowhere."""
    if message["type"] in LEAVING and not exchange.status:
        exchange.status, exchange.whole = CLIENT_LEFT, True


def note(exchange: HttpExchange, message: Any) -> bool:
    """Note what an app sends; whether it is the beginning of the answer."""
    kind = message["type"]
    if kind in ("http.response.start", "websocket.http.response.start"):
        exchange.status = message["status"]
    elif kind == "websocket.accept":
        exchange.status = SWITCHED
    elif kind == "websocket.close":
        exchange.status, exchange.whole = exchange.status or CLOSED, True
        return exchange.status == CLOSED
    else:
        exchange.whole = kind in ("http.response.body", "websocket.http.response.body") and not message.get("more_body")
        return False
    return True


def settle(exchange: HttpExchange, scope: Scope, failure: BaseException | None) -> None:
    """What is to be told of a request that has ended, where the app has not said it."""
    exchange.route = scope.get("root_path", "") + path if (path := getattr(scope.get("route"), "path", "")) else ""
    if exchange.status == SWITCHED:
        exchange.whole = True  # both ends may leave it at any time
    elif not exchange.status:
        exchange.status = CLIENT_LEFT if isinstance(failure, ConnectionError) else FAILED
        exchange.whole = isinstance(failure, Exception) or failure is None  # the server answers for it
