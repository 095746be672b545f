"""What a visitor reads when something is not there or does not work: calm words and a way on, never a traceback."""

from __future__ import annotations

from http import HTTPStatus

from quart import Quart, current_app, render_template, request, session
from quart.wrappers import Response
from werkzeug.exceptions import HTTPException

from meristem import CallError, Code, Fault
from sitekit.pages.site import this_site
from sitekit.pages.visitors import to_sign_in

STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.OUT_OF_RANGE: 400,
    Code.NOT_FOUND: 404,
    Code.PERMISSION_DENIED: 404,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 503,
    Code.CANCELED: 503,
    Code.ABORTED: 503,
}

SEND_AGAIN = (
    "What you sent has not got through to its end. Load this page again in a minute, and it is sent once more; nothing "
    "is paid twice."
)


async def problem(status: int, text: str = "", onwards: str = "") -> tuple[str, int]:
    """The page that explains `status`, with a way to the page `onwards`."""
    heading, usual = this_site().problems.get(status, (HTTPStatus(status).phrase, ""))
    words = {"heading": heading, "text": text or usual, "status": status, "onwards": onwards}
    return await render_template("problem.html", **words), status


async def _refused(error: HTTPException) -> Response | tuple[str, int, dict[str, str]]:
    status = error.code or 500
    if error.response is not None or status < 400:
        return error.get_response()  # type: ignore[return-value]
    page, status = await problem(status, (error.description or "") if status == 403 else "")
    told = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return page, status, told


async def _call_failed(error: CallError) -> Response | tuple[str, int, dict[str, str]]:
    if error.code is Code.UNAUTHENTICATED:
        session.pop("token", None)
        return to_sign_in()
    status = STATUS.get(error.code, 500)
    if status >= 500:
        current_app.logger.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    page, status = await problem(status, SEND_AGAIN if (status, request.method) == (503, "POST") else "")
    return page, status, {"Retry-After": str(round(error.retry_after or 5))} if status in (429, 503) else {}


async def _fault(error: Fault) -> tuple[str, int]:
    for kind, (status, words) in this_site().faults.items():
        if isinstance(error, kind):
            return await problem(status, words)
    current_app.logger.error("%s %s: a fault that no page expects", request.method, request.path, exc_info=error)
    return await problem(500)


async def _crashed(error: Exception) -> tuple[str, int]:
    current_app.logger.error("%s %s", request.method, request.path, exc_info=error)
    return await problem(500)


def install(app: Quart) -> None:
    """Register the pages for every kind of error."""
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(CallError, _call_failed)
    app.register_error_handler(Fault, _fault)
    app.register_error_handler(Exception, _crashed)
