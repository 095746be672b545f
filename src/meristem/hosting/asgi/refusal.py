"""The answer to a request that reaches no hosted app, as problem details (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from meristem.asgi import respond


async def refuse(send: Any, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer a request over ASGI with a problem."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
    await respond(send, status, b"application/problem+json", body, headers)
