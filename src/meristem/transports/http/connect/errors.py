"""Errors on the Connect wire: codes as HTTP statuses, faults and call errors as JSON with details, and back."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import logging
import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.codec import declared, decode_fault, decoder, encode, encode_fault
from meristem.errors import CallError, Code, Fault, FieldViolation

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)

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
"""Connect protocol, "Error codes"."""

CODE_OF_STATUS: Final = {
    400: Code.INTERNAL, 401: Code.UNAUTHENTICATED, 403: Code.PERMISSION_DENIED, 404: Code.UNIMPLEMENTED,
    408: Code.UNAVAILABLE, 429: Code.UNAVAILABLE, 502: Code.UNAVAILABLE, 503: Code.UNAVAILABLE, 504: Code.UNAVAILABLE,
}  # fmt: skip
"""Connect protocol, "HTTP to error code": what an answer that is no Connect error means."""

BAD_REQUEST: Final = "google.rpc.BadRequest"
RETRY_INFO: Final = "google.rpc.RetryInfo"
NOT_HAPPENED: Final = "meristem.v1.NotHappened"


class Detail(msgspec.Struct, omit_defaults=True):
    """A detail of an error: a protobuf message by name, its bytes in base64 and its JSON in `debug`."""

    type: str
    value: str
    debug: Any = None


class WireError(msgspec.Struct, omit_defaults=True):
    """The JSON of an error (Connect protocol, "Error end-stream")."""

    code: str
    message: str = ""
    details: list[Detail] = []


def shield(operation: Operation, error: BaseException) -> Fault | CallError:
    """What the caller is told of `error`: declared faults and call errors as they are, nothing of anything else."""
    if isinstance(error, CallError) or type(error) in operation.raises:
        return error  # type: ignore[return-value]
    if isinstance(error, Fault) and (known := declared(error, operation.raises)) is not None:
        return known
    hint = f"; declare it: raises=[{type(error).__name__}]" if isinstance(error, Fault) else ""
    logger.error("%s failed%s", operation.label, hint, exc_info=error)
    return CallError(Code.INTERNAL, f"{operation.label} failed; the log of its server says why")


def wire_error(operation: Operation, error: Fault | CallError, *, own: bool) -> WireError:
    """The error as the Connect protocol writes it; Meristem's `own` client needs no protobuf in it."""
    if isinstance(error, Fault):
        value = "" if own else _fault_bytes(operation, error)
        detail = Detail(fault_type(operation, type(error)), value, msgspec.Raw(encode_fault(error)))
        return WireError(error.code.value, error.summary(), [detail])
    return WireError(error.code.value, error.message, _details(error))


def read_error(operation: Operation, error: WireError) -> Fault | CallError:
    """The error that the server meant."""
    details = {detail.type: detail.debug for detail in error.details}
    for fault in operation.raises:
        if (debug := details.get(fault_type(operation, fault))) is not None:
            return decode_fault(fault, msgspec.json.encode(debug))
    code = next((each for each in Code if each.value == error.code), Code.UNKNOWN)
    return CallError(
        code,
        error.message,
        may_have_happened=NOT_HAPPENED not in details,
        violations=_violations(details.get(BAD_REQUEST)),
        retry_after=_delay(details.get(RETRY_INFO)),
    )


def read_unary_error(operation: Operation, status: int, body: bytes, where: str) -> Fault | CallError:
    """The error of an answer whose status is not 200; a proxy's own answer becomes the code its status means."""
    try:
        return read_error(operation, decoder(WireError)(body))
    except msgspec.DecodeError:
        code = CODE_OF_STATUS.get(status, Code.UNKNOWN)
        message = f"{operation.label}: {where} answered HTTP {status}, which is no answer of a Meristem server"
        return CallError(code, message, may_have_happened=status not in (401, 403, 404, 408, 429))


def fault_type(operation: Operation, fault: type[Fault]) -> str:
    """The protobuf name under which a fault crosses the wire."""
    return f"{operation.contract.rpartition('.')[0]}.{fault.__name__}"


def fields_of(error: Fault | CallError) -> list[tuple[bytes, bytes]]:
    """The header fields that belong to an error: when to try again, how to sign in (RFC 9110, 10.2.3 and 11.6.1)."""
    fields = []
    if isinstance(error, CallError) and error.retry_after is not None:
        fields.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
    if error.code is Code.UNAUTHENTICATED:
        fields.append((b"www-authenticate", b"Bearer"))
    return fields


def encode_wire_error(error: WireError) -> bytes:
    """The JSON of an error."""
    return encode(error)


def _details(error: CallError) -> list[Detail]:
    details: list[Detail] = []
    if error.violations:
        found = [{"field": each.field, "description": each.reason} for each in error.violations]
        value = b"".join(_field(1, _text(1, each.field) + _text(2, each.reason)) for each in error.violations)
        details.append(Detail(BAD_REQUEST, _base64(value), {"fieldViolations": found}))
    if error.retry_after is not None:
        seconds, fraction = divmod(max(0.0, error.retry_after), 1)
        duration = b"\x08" + _varint(int(seconds)) + b"\x10" + _varint(int(fraction * 1e9))
        details.append(Detail(RETRY_INFO, _base64(_field(1, duration)), {"retryDelay": f"{error.retry_after:f}s"}))
    if not error.may_have_happened:
        details.append(Detail(NOT_HAPPENED, "", {}))
    return details


def _violations(debug: Any) -> tuple[FieldViolation, ...]:
    found = debug.get("fieldViolations", []) if isinstance(debug, dict) else []
    return tuple(FieldViolation(str(each.get("field", "")), str(each.get("description", ""))) for each in found)


def _delay(debug: Any) -> float | None:
    text = debug.get("retryDelay") if isinstance(debug, dict) else None
    return float(text[:-1]) if isinstance(text, str) and text[:-1].replace(".", "", 1).isdecimal() else None


def _fault_bytes(operation: Operation, fault: Fault) -> str:
    if not has_protobuf():
        return ""  # the fields stand in `debug`
    protobinary = importlib.import_module("meristem.contracts.protobinary")
    return _base64(protobinary.fault_bytes(fault, operation.contract.rpartition(".")[0]))


@cache
def has_protobuf() -> bool:
    """Whether the extra for binary protobuf is installed."""
    try:
        return importlib.util.find_spec("google.protobuf") is not None
    except ModuleNotFoundError:
        return False


def _base64(value: bytes) -> str:
    return base64.b64encode(value).rstrip(b"=").decode()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field (protobuf encoding, wire type 2)."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())
