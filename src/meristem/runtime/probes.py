"""What an orchestrator and a monitor ask a process: is it alive, is it ready, what are its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.asgi import respond
from meristem.transports.http.responses import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

UNCACHED: Final = ((b"cache-control", b"no-store"),)
PATHS: Final = ("/health/live", "/health/ready", "/metrics")


class Probes:
    """An ASGI app that answers `/health/live`, `/health/ready` and `/metrics` itself and hands the rest to `app`.

    Live means that the event loop turns; ready, that the process has started and does not drain. `figures` gives
    media type and text of the metrics for what the client accepts.
    """

    def __init__(self, app: Any, figures: Callable[[str], Awaitable[tuple[str, bytes]]]) -> None:
        self.ready = False
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        answer = self.health(scope["path"].encode()) or await self._scraped(scope)
        await respond(send, answer.status, answer.media, answer.body, answer.fields, method=scope["method"])

    def health(self, path: bytes) -> Response | None:
        """Whether the process is alive or ready: the server asks at once, an orchestrator's probe needs no app."""
        if path == b"/health/live":
            return _told(200, "live")
        if path == b"/health/ready":
            return _told(200, "ready") if self.ready else _told(503, "not ready")
        return None

    async def _scraped(self, scope: dict[str, Any]) -> Response:
        accepted = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        media, text = await self._figures(accepted)
        return Response(200, media.encode(), text, UNCACHED)


def _told(status: int, word: str) -> Response:
    return Response(status, JSON, msgspec.json.encode({"status": word}), UNCACHED)
