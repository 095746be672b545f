"""What a reader is told when something is not there or does not work: calm words and a way on, never a traceback."""

from __future__ import annotations

from http import HTTPStatus

from quart import Quart, current_app, redirect, render_template, request, session, url_for
from quart.wrappers import Response
from werkzeug.exceptions import HTTPException

from bookshop.contracts.catalogue import BookUnknown
from bookshop.contracts.transactions import OrderUnknown
from meristem import CallError, Code, Fault

WORDS = {
    400: ("This page could not be read", "Something in the address or in what was sent is not complete."),
    403: ("This form could not be accepted", ""),
    404: ("This page is missing from our copy", "What you asked for does not exist, or it belongs to somebody else."),
    405: ("That does not work here", "This address cannot be used in that way."),
    413: ("That was too much", "What was sent is larger than any form of ours."),
    429: ("One moment, please", "There were many requests at once. Try again in a few seconds."),
    500: ("Something went wrong on our side", "It has been noted. Nothing that you ordered is lost; try once more."),
    503: (
        "A part of our shop is closed for a moment",
        "This usually passes within a minute. Your cart and your orders are safe.",
    ),
}
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


async def problem(status: int, text: str = "", onwards: str = "") -> tuple[str, int]:
    """The page that explains `status`, with a way to the page `onwards`."""
    heading, usual = WORDS.get(status, (HTTPStatus(status).phrase, ""))
    words = {"heading": heading, "text": text or usual, "status": status, "onwards": onwards}
    return await render_template("problem.html", **words), status


async def _refused(error: HTTPException) -> Response | tuple[str, int, dict[str, str]]:
    status = error.code or 500
    if error.response is not None or status < 400:
        return error.get_response()  # type: ignore[return-value]
    page, status = await problem(status, (error.description or "") if status == 403 else "")
    told = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return page, status, told


async def _call_failed(error: CallError) -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    if error.code is Code.UNAUTHENTICATED:
        session.pop("token", None)
        back = request.full_path.rstrip("?") if request.method != "POST" else None
        return redirect(url_for("account.sign_in", next=back), 303)  # type: ignore[return-value]
    status = STATUS.get(error.code, 500)
    if status >= 500:
        current_app.logger.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    page, status = await problem(status)
    return (
        (page, status, {"Retry-After": str(round(error.retry_after or 5))}) if status in (429, 503) else (page, status)
    )


async def _fault(error: Fault) -> tuple[str, int]:
    if isinstance(error, BookUnknown):
        return await problem(404, "We have no such book, or no longer.")
    if isinstance(error, OrderUnknown):
        return await problem(404, "You have no such order.")
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
