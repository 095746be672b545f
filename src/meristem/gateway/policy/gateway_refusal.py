"""How the gateway refuses: a problem (RFC 9457), whatever is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.codec import encode
from meristem.transports.http.responses import PROBLEM, Response, phrase

if TYPE_CHECKING:
    from meristem.asgi import Field


def refused(status: int, detail: str, *fields: Field) -> Response:
    """The refusal of a request; unlike that of unsound HTTP it keeps the connection."""
    problem = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}
    return Response(status, PROBLEM, encode(problem), fields)


class _Problem(msgspec.Struct):
    detail: str = ""


def detail_of(response: Response) -> str:
    """What a refusal says; empty for a response of another kind."""
    return msgspec.json.decode(response.body, type=_Problem).detail if response.media is PROBLEM else ""
