"""Errors in HTTP: the status of a code, the fields that belong to an error, and refusals with a status of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from meristem.errors import CallError, Code, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

HTTP_STATUS: Final[dict[Code, int]] = {
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""Connect protocol, "Error codes"; REST differs in what `rest/errors.py` says."""

CODE_OF_STATUS: Final = {
    400: Code.INTERNAL, 401: Code.UNAUTHENTICATED, 403: Code.PERMISSION_DENIED, 404: Code.UNIMPLEMENTED,
    408: Code.UNAVAILABLE, 429: Code.UNAVAILABLE, 502: Code.UNAVAILABLE, 503: Code.UNAVAILABLE, 504: Code.UNAVAILABLE,
    413: Code.INVALID_ARGUMENT, 414: Code.INVALID_ARGUMENT, 415: Code.INVALID_ARGUMENT, 431: Code.INVALID_ARGUMENT,
}  # fmt: skip
"""Connect protocol, "HTTP to error code": what an answer that is no Connect error means.

Beyond it, what is too large or of the wrong kind: the same request would be refused again.
"""

NEVER_SERVED: Final = frozenset((401, 403, 404, 408, 413, 414, 415, 429, 431))
"""The statuses with which a proxy, or this server before it looks further, says that nothing was passed on."""


class RefusedError(CallError):
    """A request that HTTP has a word for: `status` stands instead of what the code maps to, `fields` beside it."""

    def __init__(self, code: Code, status: int, message: str, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(code, message, may_have_happened=False)
        self.status = status
        self.fields = fields


def too_large(limit: int) -> RefusedError:
    """The refusal of a request above the limit; not `resource_exhausted`, which asks for another attempt."""
    message = f"the request is larger than {limit} bytes; raise `body_bytes` of [server]"
    return RefusedError(Code.INVALID_ARGUMENT, 413, message)


def status_of_error(error: Fault | CallError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, RefusedError) else HTTP_STATUS[error.code]


def fields_of(error: Fault | CallError) -> list[tuple[bytes, bytes]]:
    """The header fields that belong to an error: when to try again, how to sign in (RFC 9110, 10.2.3 and 11.6.1)."""
    fields = [*error.fields] if isinstance(error, RefusedError) else []
    if isinstance(error, CallError) and error.retry_after is not None:
        fields.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
    if error.code is Code.UNAUTHENTICATED:
        fields.append((b"www-authenticate", b"Bearer"))
    return fields
