"""Checks of where a request was sent to: at which host, with or without TLS, and what has moved elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.host_names import HostPatterns
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from meristem.gateway.policy.route_table import RedirectTable
    from meristem.gateway.policy.visit import Outcome, Visit

HTTPS: Final = 308  # a POST stays a POST (RFC 9110, 15.4.9)
PROBE: Final = b"/health"
"""Who probes a process asks it by its address, without TLS, and learns nothing but whether it is ready."""


class KnownHosts:
    """Refuses requests for other hosts than these (RFC 9110, 15.5.20)."""

    name = "hosts"

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._hosts = HostPatterns(patterns)

    def __call__(self, visit: Visit, /) -> Outcome:
        if self._hosts.fit(visit.host) or visit.request.path == PROBE:
            return None
        return refused(
            421, f"the host {visit.host!r} is not served here" if visit.host else "the request names no host"
        )


class HttpsAlone:
    """Sends what comes without TLS to the same address with it."""

    name = "https"

    def __call__(self, visit: Visit, /) -> Outcome:
        if visit.request.scheme == "https" or visit.request.path == PROBE:
            return None
        if not visit.host:
            return refused(400, "the request names no host at which TLS could be spoken")
        return moved(HTTPS, f"https://{visit.host}".encode() + _target(visit))


class Redirect:
    """Sends all requests of a route elsewhere."""

    name = "redirect"

    def __init__(self, table: RedirectTable) -> None:
        self._table = table
        self._to = table.to.encode()

    def __call__(self, visit: Visit, /) -> Outcome:
        table, location = self._table, self._to
        if table.keep_path:
            location = location.rstrip(b"/") + visit.request.path
        if table.keep_query and visit.request.query:
            location += b"?" + visit.request.query
        return moved(table.status, location)


def moved(status: int, location: bytes) -> Response:
    """The answer that what is asked for is elsewhere."""
    return Response(status, b"", b"", [(b"location", location)])


def _target(visit: Visit) -> bytes:
    request = visit.request
    return request.path + (b"?" + request.query if request.query else b"")
