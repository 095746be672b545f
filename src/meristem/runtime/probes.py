"""What a process answers of itself: to the public whether it is ready, to its own system what that must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.asgi import respond
from meristem.transports.http.responses import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.asgi import ASGIApp

READY: Final = "ready"
UNCACHED: Final = ((b"cache-control", b"no-store"),)
ELSEWHERE: Final = (
    b'{"title":"Not Found","status":404,"detail":"the system calls itself here; REST and apps are public"}'
)


class Probes:
    """An ASGI app in front of `app` that answers for the process itself; `state` tells how it fares.

    At a public address that is `/health`, 200 when ready and else 503, without any detail: for a load balancer and an
    orchestrator. At an address of the system's own it is `/health/live` (the event loop turns), `/health/ready`
    (which tells the state: `starting`, `ready` or `draining`), `/health` (the same) and `/metrics`, and nothing else
    is there: `app` is for the public. `figures` gives media type and text of the metrics for what the client accepts.
    """

    def __init__(
        self, app: ASGIApp, state: Callable[[], str], figures: Callable[[str], Awaitable[tuple[str, bytes]]]
    ) -> None:
        self._app = app
        self._state = state
        self._figures = figures

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        public: bool = scope.get("state", {}).get("public", True)
        answer = None
        if scope["type"] == "http":
            answer = self.health(scope["path"].encode(), public=public)
        if answer is None and public:
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        else:
            answer = answer or await self._internal(scope)
            if scope["method"] not in ("GET", "HEAD"):
                answer = Response(405, b"", b"", [(b"allow", b"GET, HEAD")])
            await respond(send, answer.status, answer.media, answer.body, answer.fields, method=scope["method"])

    def health(self, path: bytes, *, public: bool) -> Response | None:
        """Whether the process is alive or ready: the server asks at once, an orchestrator's probe needs no app."""
        if path == b"/health":
            state = self._state()
            return _told("not ready" if public and state != READY else state)
        if public:
            return None
        if path == b"/health/ready":
            return _told(self._state())
        return _told("live") if path == b"/health/live" else None

    async def _internal(self, scope: Any) -> Response:
        if scope["path"] != "/metrics":
            return Response(404, b"application/problem+json", ELSEWHERE, UNCACHED)
        accepted = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        media, text = await self._figures(accepted)
        return Response(200, media.encode(), text, UNCACHED)


def _told(word: str) -> Response:
    status = 200 if word in (READY, "live") else 503
    return Response(status, JSON, msgspec.json.encode({"status": word}), UNCACHED)
