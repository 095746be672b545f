"""What an app answers to an error that a view raised, in any framework: the problem that REST would answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from meristem.contracts.codec import UNENCODABLE
from meristem.contracts.undeclared import internal, withheld_at
from meristem.errors import CallError, Fault
from meristem.transports.http.rest.codec import problem_response
from meristem.transports.http.rest.errors import problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meristem.transports.http.responses import Response

logger = logging.getLogger(__name__)
DOCS: Final = "/api/docs"
REPEATABLE: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))  # RFC 9110, section 9.2.2


def answer_of(error: BaseException, method: str, path: str, docs: str = DOCS) -> Response:
    """The answer to a request whose view raised `error`: problem details (RFC 9457) with the status that REST has.

    A fault and what the view itself says by a CallError are told. Of an error of a call below the code is, and of any
    other error nothing: a sentence, and the trace under which the log has it. `path` is the whole of it, decoded.
    """
    sent = quote(path, safe="/:@!$&'()*+,;=~")
    label = f"{method} {sent}"
    try:
        return problem_response(problem_of(_told(error, label, method), docs), sent)
    except UNENCODABLE:
        logger.exception("%s: the fields of %s are not as declared", label, type(error).__name__)
        return problem_response(problem_of(internal(label), docs), sent)


def fields_of_answer(answer: Response) -> Iterator[tuple[str, str]]:
    """The header fields of an answer beside its media type and length."""
    return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.fields)


def register(
    app: Any, answered: Callable[[Any], Any], failed: type[Exception], unexpected: Callable[[Any], Any]
) -> None:
    """Have an `app` whose handlers are registered as Flask's are answer faults and errors of calls by `answered`.

    Any other error is answered by `unexpected`, which is given one of the class `failed`, unless the app itself says
    how it answers those.
    """
    for kind in (Fault, CallError):
        app.register_error_handler(kind, answered)
    known = app.error_handler_spec[None]
    if not known.get(500) and Exception not in known.get(None, {}):
        app.register_error_handler(failed, unexpected)


def _told(error: BaseException, label: str, method: str) -> Fault | CallError:
    if isinstance(error, Fault):
        return error
    if not isinstance(error, CallError):
        return internal(label)
    if not error.private:
        return error
    again = ". Try again" if method in REPEATABLE else ". It may have been done: look before you try again"
    return withheld_at(label, error, again)
