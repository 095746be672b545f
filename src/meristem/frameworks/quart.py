"""Errors of Quart's views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import quart
from werkzeug.exceptions import InternalServerError

from meristem.frameworks.problem_answers import answer_of, fields_of_answer, register

if TYPE_CHECKING:
    from werkzeug.exceptions import HTTPException


def install(app: quart.Quart, docs: str) -> None:
    """Have `app` answer errors of its views; one that a WebSocket meets refuses it, if it comes before it is open."""

    async def answered(error: BaseException) -> quart.Response:
        request = quart.request if quart.has_request_context() else quart.websocket
        answer = answer_of(error, request.method, request.root_path + request.path, docs)
        headers = dict(fields_of_answer(answer))
        return quart.Response(answer.body, answer.status, headers, content_type=answer.media.decode())

    async def unexpected(error: InternalServerError) -> quart.Response | HTTPException:
        # Without an original one the app answered so itself: `abort(500, …)`.
        return error if error.original_exception is None else await answered(error.original_exception)

    register(app, answered, InternalServerError, unexpected)
