"""Errors on the gRPC wire: a code, a message, and a `google.rpc.Status` with details in the trailing metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from meristem.contracts.codec import encode
from meristem.contracts.protobuf.binary import read_fault
from meristem.errors import CallError, Code, Fault
from meristem.transports.errors import (
    BAD_REQUEST,
    PARKED,
    RETRY_INFO,
    details_of,
    error_of,
    fault_type,
    message_of,
)
from meristem.transports.grpc.library import DecodeError, any_pb2, error_details_pb2, grpc, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.contracts.operation import Operation

DETAILS: Final = "grpc-status-details-bin"
ERROR_INFO: Final = "google.rpc.ErrorInfo"
PREFIX: Final = "type.googleapis.com/"
# Most clients refuse more than 8 KiB of metadata, and with it the status: what has no room is left out before.
MOST_DETAILS: Final = 6 * 1024
OWN_DETAILS: Final = 1024 * 1024
"""What our own client takes, in bytes of details and message."""
LONGEST_MESSAGE: Final = 1024
OWN_LONGEST_MESSAGE: Final = 64 * 1024
"""Bytes of a message as a header field carries it, where what is no visible ASCII is percent-encoded."""

STATUS_OF: Final = {code: grpc.StatusCode[{"CANCELED": "CANCELLED"}.get(code.name, code.name)] for code in Code}
CODE_OF: Final = {status: code for code, status in STATUS_OF.items()}
WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class FailedStatus(NamedTuple):
    """What `context.abort` takes."""

    code: Any
    message: str
    trailing: tuple[tuple[str, bytes | str], ...]


def status_of(operation: Operation, error: Fault | CallError, *, own: bool = False) -> FailedStatus:
    """The status that tells a client of an error; `own` is Meristem's client, which takes longer details."""
    code, message, most = STATUS_OF[error.code], message_of(error), OWN_DETAILS if own else MOST_DETAILS
    details = [any_pb2.Any(type_url=PREFIX + each.type, value=each.value)
               for each in details_of(operation, error, binary=True)]  # fmt: skip
    if isinstance(error, Fault):
        package = operation.contract.rpartition(".")[0]
        info = error_details_pb2.ErrorInfo(reason=WORDS.sub("_", type(error).__name__).upper(), domain=package)
        details.append(any_pb2.Any(type_url=PREFIX + ERROR_INFO, value=info.SerializeToString()))
    message = _shortened(message, OWN_LONGEST_MESSAGE if own else LONGEST_MESSAGE)
    if not details and not own:  # to our client a status without them is one of grpcio's own
        return FailedStatus(code, message, ())
    details = _fitting(details, most - len(message.encode()))  # the message goes twice
    told = status_pb2.Status(code=code.value[0], message=message, details=details)
    return FailedStatus(code, message, ((DETAILS, told.SerializeToString()),))


def _shortened(message: str, most: int) -> str:
    """As much of a message as takes `most` bytes in its header field (gRPC over HTTP/2, "Percent-Encoded")."""
    for at, each in enumerate(message):
        most -= 1 if " " <= each <= "~" and each != "%" else 3 * len(each.encode())
        if most < 0:
            return f"{message[:at]}…"
    return message


def _fitting(details: list[Any], most: int) -> list[Any]:
    """Those for which there is room, the first first: one that is left out is no reason to leave out smaller ones."""
    kept = []
    for each in details:
        size = each.ByteSize()
        if size <= most:
            kept.append(each)
            most -= size
    return kept


def read_status(
    operation: Operation, code: Any, message: str, trailing: Iterable[tuple[str, Any]]
) -> Fault | CallError | None:
    """The error that a server meant by a status with details; None where it sent none, or none that can be read."""
    written = next((value for name, value in trailing if name == DETAILS), None)
    if written is None:
        return None
    try:
        told = status_pb2.Status.FromString(written)
        details = {each.type_url.rpartition("/")[2]: each.value for each in told.details}
        package = operation.contract.rpartition(".")[0]
        for fault in operation.raises:
            if (value := details.get(fault_type(operation, fault))) is not None:
                return read_fault(fault, package, value)
        return error_of(operation, CODE_OF[code].value, message, _as_json(details))
    except (ValueError, CallError, msgspec.DecodeError, DecodeError):
        return None


def refusal_bytes(operation: Operation, error: CallError) -> bytes:
    """A refusal as a message of a stream of items, for `read_refusal`."""
    told = status_of(operation, error, own=True)
    return next((value for name, value in told.trailing if name == DETAILS and isinstance(value, bytes)), b"")


def read_refusal(operation: Operation, written: bytes) -> CallError:
    """The refusal of an item that its caller's side has found not to be as declared."""
    told = read_status(operation, STATUS_OF[Code.INVALID_ARGUMENT], _words(written), ((DETAILS, written),))
    violations = told.violations if isinstance(told, CallError) else ()
    return CallError(Code.INVALID_ARGUMENT, _words(written), may_have_happened=False, violations=violations)


def _words(written: bytes) -> str:
    try:
        told: str = status_pb2.Status.FromString(written).message
    except DecodeError:
        return "an item is not as declared"
    return told


def _as_json(details: Mapping[str, bytes]) -> dict[str, msgspec.Raw]:
    """The JSON of what `error_of` reads: details that have fields; of the others it is enough that they are there."""
    found = {name: msgspec.Raw(b"{}") for name in details}
    if BAD_REQUEST in details:
        violations = error_details_pb2.BadRequest.FromString(details[BAD_REQUEST]).field_violations
        fields = [{"field": each.field, "description": each.description} for each in violations]
        found[BAD_REQUEST] = msgspec.Raw(encode({"fieldViolations": fields}))
    if RETRY_INFO in details:
        delay = error_details_pb2.RetryInfo.FromString(details[RETRY_INFO]).retry_delay
        found[RETRY_INFO] = msgspec.Raw(encode({"retryDelay": f"{delay.seconds + delay.nanos / 1e9:f}s"}))
    if PARKED in details:
        # A message with the saga's id as its field 1, as that of a string value has.
        saga = error_details_pb2.ResourceInfo.FromString(details[PARKED]).resource_type
        found[PARKED] = msgspec.Raw(encode({"sagaId": saga}))
    return found
