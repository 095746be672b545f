"""What goes wrong, as RFC 9457 problem details; no answer ever repeats a card number back."""

from __future__ import annotations

import http

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .models import FieldError, ProblemBody


class Problem(Exception):
    """An answer other than success. ``field`` names the wrong input, ``reason`` is a word for programs."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        reason: str | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        super().__init__(detail)
        if field and errors is None:
            errors = [FieldError(field=field, message=detail)]
        title = http.HTTPStatus(status).phrase
        self.body = ProblemBody(title=title, status=status, detail=detail, field=field, errors=errors, reason=reason)

    def as_json(self) -> dict[str, object]:
        return self.body.model_dump(exclude_none=True)


def problem_response(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def answer_with_problems(app: FastAPI) -> None:
    """Make every failure of ``app`` problem details."""

    @app.exception_handler(Problem)
    async def on_problem(_request: Request, problem: Problem) -> JSONResponse:
        return problem_response(problem.body.status, problem.as_json())

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        problem = _invalid(error)
        return problem_response(problem.body.status, problem.as_json())

    @app.exception_handler(HTTPException)
    async def on_http(_request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem_response(error.status_code, Problem(error.status_code, error.detail).as_json(), headers)


def _invalid(error: RequestValidationError) -> Problem:
    # FastAPI's own answer repeats the input, which may be a card number: keep the place and the message only.
    errors = [
        FieldError(field=_field_of(e["loc"]), message=str(e["msg"]).removeprefix("Value error, "))
        for e in error.errors()
    ]
    first = errors[0]
    if first.field.lower() == "idempotency-key":
        return Problem(400, "Send an Idempotency-Key header of 1 to 255 characters.", field="Idempotency-Key")
    return Problem(422, first.message, field=first.field, errors=errors)


def _field_of(place: tuple[int | str, ...]) -> str:
    names = [str(part) for part in place[1:] if not isinstance(part, int)]
    return ".".join(names) or str(place[0])
