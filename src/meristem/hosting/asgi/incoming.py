"""What the head of a request to an app says of what surrounds it: its trace, its deadline, the values that travel."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from meristem.baggage import admitted
from meristem.context import DEADLINE_FIELD, Trace
from meristem.errors import CallError
from meristem.head_fields import AUTHORIZATION, BAGGAGE, COOKIE, POSITIONS, TRACE, TRACE_STATE, add_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.asgi import Field
    from meristem.context import Position

logger = logging.getLogger(__name__)
DEADLINE: Final = DEADLINE_FIELD.encode()
READ: Final = frozenset((TRACE, TRACE_STATE, BAGGAGE, DEADLINE, AUTHORIZATION, POSITIONS, COOKIE))


def read_fields(headers: Iterable[Field]) -> dict[bytes, bytes]:
    """The fields that are read here, by name."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in READ:
            add_field(found, name, value)
    return found


def trace_of(fields: Mapping[bytes, bytes], *, foreign: bool = True) -> Trace | None:
    """The trace that a request goes on with: a `foreign` one, unless the edge of the system has decided upon it."""
    came = fields.get(TRACE)
    if came is None:
        return None
    return Trace.parse(came.decode("latin-1"), fields.get(TRACE_STATE, b"").decode("latin-1"), foreign=foreign)


def baggage_of(fields: Mapping[bytes, bytes]) -> str:
    """The values that travel with a request: those that callers from outside may set; a malformed list counts as none.

    It is not refused: whether a request is sound is for the app to say, which may know nothing of them.
    """
    sent = fields.get(BAGGAGE)
    if sent is None:
        return ""
    try:
        return admitted(sent.decode("latin-1"))
    except CallError as error:
        logger.debug("a request's values that travel count as not sent: %s", error)
        return ""


def deadline_of(fields: Mapping[bytes, bytes], limit: float | None) -> float | None:
    """The earlier of a request's own deadline and the app's `limit`, in seconds; None where there is neither.

    On the clock of time.monotonic().
    """
    timeout = fields.get(DEADLINE, b"")
    asked = int(timeout) / 1000 if timeout.isdigit() and len(timeout) <= 10 else None
    seconds = min((each for each in (asked, limit) if each is not None), default=None)
    return None if seconds is None else time.monotonic() + seconds


def continued(scope: Mapping[str, Any], trace: Position) -> dict[str, Any]:
    """The scope for the app, whose own instruments go on with `trace`, as its calls to services do."""
    headers = [each for each in scope["headers"] if each[0] not in (TRACE, TRACE_STATE)]
    headers.append((TRACE, trace.header().encode("latin-1")))
    if trace.state:
        headers.append((TRACE_STATE, trace.state.encode("latin-1")))
    return {**scope, "headers": headers}
