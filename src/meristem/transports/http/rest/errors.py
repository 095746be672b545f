"""Problem details (RFC 9457): what the REST interface answers instead of a result.

| code | status |
|---|---|
| invalid_argument | 422 when it names a field, else 400 (malformed JSON, a wrong type at the top) |
| out_of_range | 400 |
| unauthenticated | 401 |
| permission_denied | 403 |
| not_found | 404 |
| already_exists, aborted, failed_precondition | 409 |
| resource_exhausted | 429 |
| canceled | 499 |
| unknown, internal, data_loss | 500 |
| unimplemented | 501 |
| unavailable | 503 |
| deadline_exceeded | 504 |

A fault answers `Fault.status` where that is set, else the status of its code.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from meristem.contracts.codec import encode, fault_payload
from meristem.errors import CallError, Code, Fault, SagaParked
from meristem.transports.http.errors import HTTP_STATUS, RefusedError, fields_of
from meristem.transports.http.responses import phrase

RESERVED: Final = frozenset(("type", "title", "status", "detail", "instance", "code", "errors", "fault"))


class Problem(msgspec.Struct):
    """A refusal: its status, its members beyond the standard ones, and headers that belong to it."""

    status: int
    detail: str
    title: str = ""
    type: str = "about:blank"
    members: dict[str, Any] = {}
    headers: list[tuple[bytes, bytes]] = []

    def body(self, instance: str) -> bytes:
        """The JSON of the problem."""
        standard = {
            "type": self.type,
            "title": self.title or phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        return encode(standard | self.members)


def status_of(error: Fault | CallError) -> int:
    """The HTTP status of an error in the REST interface."""
    if isinstance(error, Fault):
        return status_of_class(type(error))
    if any(each.field for each in error.violations):
        return 422
    return _status_of_code(error.code)


def status_of_class(fault: type[Fault]) -> int:
    """The HTTP status of a fault in the REST interface."""
    return fault.status if fault.status is not None else _status_of_code(fault.code)


def _status_of_code(code: Code) -> int:
    return 409 if code is Code.FAILED_PRECONDITION else HTTP_STATUS[code]


def problem_of(error: Fault | CallError, docs: str) -> Problem:
    """The problem that tells a client of `error`; a fault's type points into the API page at `docs`."""
    if isinstance(error, RefusedError):
        return Problem(error.status, error.message, headers=fields_of(error))
    headers = fields_of(error)
    if isinstance(error, Fault):
        return _fault(error, docs, headers)
    members: dict[str, Any] = {"code": error.code.value}
    if error.violations:
        members["errors"] = [{"field": each.field, "reason": each.reason} for each in error.violations]
    if isinstance(error, SagaParked):
        members["saga_id"] = error.saga_id
    return Problem(status_of(error), error.message, members=members, headers=headers)


def _fault(error: Fault, docs: str, headers: list[tuple[bytes, bytes]]) -> Problem:
    name = type(error).__name__
    members: dict[str, Any] = {"code": error.code.value, "fault": name}
    kind: Any = type(error)
    values = msgspec.to_builtins(fault_payload(kind)(**error.values()))
    for field, value in values.items():
        # RFC 9457, section 3.2: a problem's own members stand beside the standard ones, whose names are taken.
        members[f"{field}_" if field in RESERVED else field] = value
    return Problem(status_of(error), error.summary(), error.summary(), f"{docs}#fault-{name}", members, headers)
