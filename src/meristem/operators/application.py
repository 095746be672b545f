"""What operators read: health in detail, probes, and the figures of all processes on one page."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from meristem.asgi import respond
from meristem.operators.health import NOT_READY, READY, SystemHealth
from meristem.operators.passing import PATH, after_of, is_of_this_user, passing
from meristem.telemetry.merging import OPENMETRICS, MetricsPage, merged, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.asgi import ASGIApp
    from meristem.operators.health import Instance, Overview

    Answer = tuple[int, str, bytes]

logger = logging.getLogger(__name__)
JSON: Final = "application/json"
PLAIN: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
LIVE: Final = "/live"
OWN: Final = ("/health", "/health/live", "/health/ready", "/metrics")
PATHS: Final = "/health, /health/live, /health/ready and /metrics"


class OperatorApp:
    """An ASGI app: `/health` tells of every process, `/metrics` gathers theirs, by labels `process` and `replica`.

    `?process=stock` and `&replica=1` choose some of them. At a Unix socket `/events` tells what passes. `/health/live`
    says that whoever runs the system turns, `/health/ready` whether every part is ready. A part that is down or hangs
    is named and keeps nobody waiting. Where it has no pages, `absent` says why.
    """

    def __init__(
        self, overview: Overview, pages: ASGIApp | None = None, live: ASGIApp | None = None, *, absent: str = ""
    ) -> None:
        self._absent = absent
        self._overview = overview
        self._pages = pages
        self._live = live

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif self._live is not None and scope["path"] == LIVE:
            await self._live(scope, receive, send)
        elif self._pages is not None and scope["path"] not in OWN and not _asks_what_passes(scope):
            await self._pages(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, fields=[(b"allow", b"GET, HEAD"), *PLAIN])
        elif scope["path"] == "/":
            await respond(send, 307, fields=[(b"location", b"/health"), *PLAIN])
        else:
            status, media, body = await self._answer(scope)
            await respond(send, status, media.encode(), body, PLAIN, method=scope["method"])

    async def _answer(self, scope: Any) -> Answer:
        path: str = scope["path"]
        if path == "/health/live":
            return 200, JSON, _status("live")
        if _asks_what_passes(scope):
            return 200, JSON, await passing(self._overview.instances(), after_of(scope["query_string"]))
        if path not in OWN:
            return _missing(f"operators read {PATHS}{self._absent}")
        query = parse_qs(scope["query_string"].decode("latin-1"))
        chosen = _chosen(self._overview.instances(), query)
        # Said rather than shown as an empty system, which would look sound.
        if query and not chosen:
            return _missing("no process is chosen by this query")
        if path == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            return await _figures(chosen, wanted(accept))
        health = await self._health(chosen)
        status = 200 if health.status == READY else 503
        return status, JSON, _status(health.status) if path == "/health/ready" else msgspec.json.encode(health)

    async def _health(self, chosen: Sequence[Instance]) -> SystemHealth:
        found = await asyncio.gather(*(each.health() for each in chosen))
        overview = self._overview
        # Every part: one that waits for its restart is not ready, even if others answer meanwhile.
        status = READY if all(each.status == READY for each in found) else NOT_READY
        told = list(zip(chosen, found, strict=True))
        processes = tuple(health for each, health in told if "program" not in each.labels)
        programs = tuple(health for each, health in told if "program" in each.labels)
        return SystemHealth(
            overview.system, status, overview.pid, overview.address, overview.since, processes, programs
        )


def _asks_what_passes(scope: Any) -> bool:
    return scope["path"] == PATH and is_of_this_user(scope)


def _chosen(instances: Sequence[Instance], query: dict[str, list[str]]) -> list[Instance]:
    """Those whose labels are what a query says; an empty one chooses all."""
    wanted_labels = query.items()
    return [each for each in instances if all(each.labels.get(name) in values for name, values in wanted_labels)]


async def _figures(chosen: Sequence[Instance], media: str) -> Answer:
    """All at once, so that the page takes as long as the slowest, which a time limit bounds."""
    texts = await asyncio.gather(*(_asked(each, media) for each in chosen))
    told = list(zip(chosen, texts, strict=True))
    own = [_known_figures(each, media, up=not isinstance(text, OSError)) for each, text in told]
    pages = [MetricsPage(each.labels, text) for each, text in told if isinstance(text, str)]
    return 200, media, merged([*own, *pages], media).encode()


async def _asked(instance: Instance, media: str) -> str | OSError | None:
    try:
        return await instance.figures(media)
    except OSError as error:  # TimeoutError is one
        logger.debug("%s gives no figures: %s", instance.labels, error)
        return error


def _known_figures(instance: Instance, media: str, *, up: bool) -> MetricsPage:
    """What is known of a part without its word, also of one that is down."""
    # OpenMetrics names a counter's family without the `_total` of its samples; the older format knows no such ending.
    restarts = "meristem_restarts" if media == OPENMETRICS else "meristem_restarts_total"
    text = (
        "# HELP meristem_up Whether the part answered when these figures were gathered.\n"
        f"# TYPE meristem_up gauge\nmeristem_up {up:d}\n"
        f"# HELP {restarts} Starts after an end that nobody asked for.\n"
        f"# TYPE {restarts} counter\nmeristem_restarts_total {instance.restarts}\n"
    )
    return MetricsPage(instance.labels, text)


def _status(status: str) -> bytes:
    return msgspec.json.encode({"status": status})


def _missing(detail: str) -> Answer:
    return 404, "application/problem+json", msgspec.json.encode({"title": "Not Found", "status": 404, "detail": detail})
