"""Errors of Flask's views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
from werkzeug.exceptions import InternalServerError

from meristem.frameworks.problem_answers import answer_of, fields_of_answer, register

if TYPE_CHECKING:
    from werkzeug.exceptions import HTTPException


def install(app: flask.Flask, docs: str) -> None:
    """Have `app` answer errors of its views."""

    def answered(error: BaseException) -> flask.Response:
        request = flask.request
        answer = answer_of(error, request.method, request.root_path + request.path, docs)
        headers = dict(fields_of_answer(answer))
        return flask.Response(answer.body, answer.status, headers, content_type=answer.media.decode())

    def unexpected(error: InternalServerError) -> flask.Response | HTTPException:
        # Without an original one the app answered so itself: `abort(500, …)`.
        return error if error.original_exception is None else answered(error.original_exception)

    register(app, answered, InternalServerError, unexpected)
