"""Errors of the views of Starlette and FastAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from meristem.errors import CallError, Fault
from meristem.frameworks.problem_answers import answer_of, fields_of_answer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

POLICY: Final = 1008  # RFC 6455, section 7.4.1: what was asked for is refused
FAILED: Final = 1011  # the server met a condition that it did not expect


def install(app: Starlette, docs: str) -> None:
    """Have `app` answer errors of its views; one that a WebSocket meets closes it."""

    async def answered(request: Request | WebSocket, error: Exception) -> Response:
        method = request.scope.get("method", "GET")
        answer = answer_of(error, method, request.scope["path"], docs)
        if isinstance(request, WebSocket) and request.application_state is not WebSocketState.DISCONNECTED:
            await request.close(FAILED if answer.status >= 500 else POLICY)
        headers = dict(fields_of_answer(answer))
        return Response(answer.body, answer.status, headers, media_type=answer.media.decode())

    for kind in (Fault, CallError):
        app.add_exception_handler(kind, answered)
    if not {500, Exception} & app.exception_handlers.keys():
        app.add_exception_handler(Exception, answered)
