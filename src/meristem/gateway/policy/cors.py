"""Cross-origin requests (Fetch standard, 3.3): preflights are answered here, and answers say who may read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meristem.gateway.policy.gateway_refusal import refused
from meristem.quantities import seconds_of
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.gateway.policy.header_table import CorsTable
    from meristem.gateway.policy.visit import Outcome, Visit
    from meristem.transports.http.request import Request

ORIGIN: Final = b"origin"
ASKED_METHOD: Final = b"access-control-request-method"
ASKED_HEADERS: Final = b"access-control-request-headers"
ALLOW_ORIGIN: Final = b"access-control-allow-origin"
VARIES: Final = (b"vary", b"origin")
VARIES_BY_ASKED: Final = (b"vary", b"origin, access-control-request-method, access-control-request-headers")
ANSWERED_HERE: Final = frozenset(
    f"access-control-{each}"
    for each in ("allow-origin", "allow-credentials", "allow-methods", "allow-headers", "expose-headers", "max-age")
)
"""Fields that an app's answer loses where the gateway has them: two words on who may read are none."""


def origin_pattern(origin: str) -> str:
    """A regular expression for an origin of a table, in which `*.` stands for any names of hosts, one or more."""
    return re.escape(origin).replace(r"\*\.", r"(?:[a-z0-9-]+\.)+")


def is_preflight(request: Request) -> bool:
    """Whether a browser asks if it may send a request to another origin."""
    return request.method == "OPTIONS" and ORIGIN in request.head and ASKED_METHOD in request.head


class CrossOrigin:
    """Answers preflights; of another request the answer says that its origin may read it, or nothing."""

    name = "cors"

    def __init__(self, table: CorsTable) -> None:
        self._any = "*" in table.origins
        self._origins = frozenset(each.encode() for each in table.origins)
        below = "|".join(origin_pattern(each) for each in table.origins if "*." in each)
        self._below = re.compile(below.encode()) if below else None
        self._methods = frozenset(each.encode() for each in table.methods)
        self._headers = frozenset(each.encode() for each in table.headers)
        self._credentials = [(b"access-control-allow-credentials", b"true")] if table.credentials else []
        exposed = ", ".join(table.expose).encode()
        self._exposed = [(b"access-control-expose-headers", exposed)] if exposed else []
        self._granted = [
            (b"access-control-allow-methods", b", ".join(sorted(self._methods))),
            *([(b"access-control-allow-headers", b", ".join(sorted(self._headers)))] if self._headers else []),
            (b"access-control-max-age", b"%d" % seconds_of(table.max_age)),
        ]

    def __call__(self, visit: Visit, /) -> Outcome:
        request = visit.request
        origin = request.head.get(ORIGIN)
        if is_preflight(request):
            return self._preflight(request, origin or b"")
        if not self._any:
            visit.fields.append(VARIES)
        if origin is not None and self._allows(origin):
            visit.fields += (*self._allowing(origin), *self._exposed)
        return None

    def _preflight(self, request: Request, origin: bytes) -> Response:
        fields = [VARIES_BY_ASKED]
        if not self._allows(origin):
            return refused(403, "no page of this origin may send requests here", *fields)
        fields += self._allowing(origin)
        method = request.head[ASKED_METHOD]
        if method not in self._methods:
            return refused(403, f"no other origin may send {method.decode('latin-1')} here", *fields)
        asked = (each.strip().lower() for each in request.head.get(ASKED_HEADERS, b"").split(b","))
        if strange := next((each for each in asked if each and each not in self._headers), None):
            return refused(403, f"no other origin may send the field {strange.decode('latin-1')!r} here", *fields)
        return Response(204, b"", b"", [*fields, *self._granted])

    def _allows(self, origin: bytes) -> bool:
        return self._any or origin in self._origins or (self._below is not None and bool(self._below.fullmatch(origin)))

    def _allowing(self, origin: bytes) -> list[Field]:
        return [(ALLOW_ORIGIN, b"*" if self._any else origin), *self._credentials]
