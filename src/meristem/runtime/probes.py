"""What an orchestrator and a monitor ask a process: is it alive, is it ready, what are its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.asgi import respond

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Answer = tuple[int, str, bytes]


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
        status, media, body = await self._answer(scope)
        await respond(send, status, media.encode(), body, [(b"cache-control", b"no-store")], method=scope["method"])

    async def _answer(self, scope: dict[str, Any]) -> Answer:
        path: str = scope["path"]
        if path == "/health/live":
            return 200, "application/json", _status("live")
        if path == "/health/ready":
            ready = self.ready
            return (200 if ready else 503), "application/json", _status("ready" if ready else "not ready")
        accepted = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        return (200, *await self._figures(accepted))


def _status(status: str) -> bytes:
    return msgspec.json.encode({"status": status})
