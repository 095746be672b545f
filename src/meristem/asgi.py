"""The shapes of ASGI 3, and the one way in which Meristem answers a request by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Field: TypeAlias = tuple[bytes, bytes]

NO_CONTENT: Final = 204
OF_WEBSOCKETS: Final = {"http": "ws", "https": "wss"}
"""The scheme of a WebSocket, by that of the request it begins with."""


class BrokenOffError(Exception):
    """An app's answer breaks off, for a reason that it has told: its client must not take a part for the whole."""


async def respond(
    send: Send,
    status: int,
    media: bytes = b"",
    body: bytes = b"",
    fields: Iterable[Field] = (),
    *,
    method: str = "GET",
) -> None:
    """Send a whole response; its length is added where one may stand (RFC 9110, 8.6).

    The `method` is that of the request: for HEAD the body stays here, though its length is told.
    """
    length = [] if status == NO_CONTENT else [(b"content-length", b"%d" % len(body))]
    await start(send, status, media, [*length, *fields])
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def start(send: Send, status: int, media: bytes, fields: Iterable[Field] = ()) -> None:
    """Send the head of a response whose body follows."""
    headers = [*([(b"content-type", media)] if media else []), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def until_disconnected(receive: Receive) -> None:
    """Return when the client has left; what it still sends is let go."""
    while (await receive())["type"] != "http.disconnect":
        pass
