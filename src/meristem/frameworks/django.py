"""Errors of Django's views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from meristem.errors import CallError, Fault
from meristem.frameworks.problem_answers import DOCS, answer_of, fields_of_answer

if TYPE_CHECKING:
    from meristem.transports.http.responses import Response


class ErrorAnswers(MiddlewareMixin):
    """Middleware by which a `Fault` and a `CallError` of a view are answered as the REST interface does.

    Name it in MIDDLEWARE: `"meristem.frameworks.django.ErrorAnswers"`. All other errors are Django's, as ever; with
    `handler500 = "meristem.frameworks.django.server_error"` in the URLs those of views tell their trace, too.
    """

    docs: ClassVar[str] = DOCS

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer to a view that raised one of them."""
        if not isinstance(exception, Fault | CallError):
            return None
        return _response(answer_of(exception, request.method or "", request.path, self.docs))


def server_error(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """The answer to an error that nobody expected: a sentence, and the trace under which the log has it."""
    return _response(answer_of(RuntimeError(), request.method or "", request.path))


def _response(answer: Response) -> HttpResponse:
    headers = dict(fields_of_answer(answer))
    return HttpResponse(answer.body, status=answer.status, headers=headers, content_type=answer.media.decode())
