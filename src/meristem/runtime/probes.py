"""What a process answers of itself: to the public whether it is ready, to its own system what that must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.asgi import respond
from meristem.operators.passing import PATH, after_of, is_of_this_user
from meristem.transports.http.responses import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meristem.transports.http.request import Request

READY: Final = "ready"
# RFC 9111, section 4.2.2: without it a cache may keep a 200 by a guess of its own.
UNCACHED: Final = ((b"cache-control", b"no-store"),)
# RFC 9110, section 15.5.6: a 405 must name what is allowed.
NOT_ASKED: Final = Response(405, b"", b"", [(b"allow", b"GET, HEAD")])
ELSEWHERE: Final = (
    b'{"title":"Not Found","status":404,"detail":"the system calls itself here; REST and apps are public"}'
)


class PublicProbe:
    """What the public may ask a process: `/health`, 200 when ready and else 503, without any detail.

    It is for a load balancer and an orchestrator; the server asks `find` at once, without an app.
    """

    def __init__(self, state: Callable[[], str]) -> None:
        self._state = state

    def find(self, request: Request) -> Response | None:
        """The answer to a request; None for another path."""
        if request.path != b"/health":
            return None
        return _asked(request, _told(READY if self._state() == READY else "not ready"))


class InternalProbes:
    """What the system itself may ask a process; nothing else is there, for REST and apps are public.

    `/health/live` (the event loop turns), `/health/ready` (which tells the `state`: `starting`, `ready`, `unready` or
    `draining`, and `problems` that leave it ready), `/health` (the same) and, by ASGI, `/metrics`. `figures` gives
    media type and text of the metrics for what the client accepts. At a Unix socket `/events` is what passes, which
    `look` tells.
    """

    def __init__(
        self,
        state: Callable[[], str],
        figures: Callable[[str], Awaitable[tuple[str, bytes]]],
        look: Callable[[str], Awaitable[bytes]],
        problems: Callable[[], list[str]],
    ) -> None:
        self._state = state
        self._figures = figures
        self._look = look
        self._problems = problems

    def find(self, request: Request) -> Response | None:
        """The answer about health; None for another path."""
        if request.path in (b"/health", b"/health/ready"):
            return _asked(request, _told(self._state(), self._problems()))
        return _asked(request, _told("live")) if request.path == b"/health/live" else None

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["path"] == PATH and is_of_this_user(scope):
            answer = Response(200, JSON, await self._look(after_of(scope["query_string"])), UNCACHED)
        elif scope["path"] != "/metrics":
            answer = Response(404, b"application/problem+json", ELSEWHERE, UNCACHED)
        elif scope["method"] not in ("GET", "HEAD"):
            answer = NOT_ASKED
        else:
            accepted = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            media, text = await self._figures(accepted)
            answer = Response(200, media.encode(), text, UNCACHED)
        await respond(send, answer.status, answer.media, answer.body, answer.fields, method=scope["method"])


def _asked(request: Request, answer: Response) -> Response:
    return answer if request.method in ("GET", "HEAD") else NOT_ASKED


def _told(word: str, problems: Sequence[str] = ()) -> Response:
    # Draining is 503 as well: a balancer must send nothing new while the rest is answered.
    status = 200 if word in (READY, "live") else 503
    told = {"status": word, "problems": problems} if problems else {"status": word}
    return Response(status, JSON, msgspec.json.encode(told), UNCACHED)
