"""Errors on the Connect wire: JSON with details, whose protobuf stands in base64, and back."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from meristem.contracts.codec import decoder, encode
from meristem.errors import CallError, Code, Fault
from meristem.transports.errors import details_of, error_of, message_of, unserved
from meristem.transports.http.errors import CODE_OF_STATUS, NEVER_SERVED, fields_of, status_of_error
from meristem.transports.http.responses import JSON, Response

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation


class WireDetail(msgspec.Struct, omit_defaults=True):
    """A detail of an error: a protobuf message by name, its bytes in base64 and its JSON in `debug`."""

    type: str
    value: str
    debug: Any = None


class ReceivedDetail(msgspec.Struct):
    """A detail as it is read: its JSON is looked at only where its type is known."""

    type: str
    debug: msgspec.Raw = msgspec.Raw(b"null")


class ReceivedError(msgspec.Struct):
    """The JSON of an error as it is read, whatever server wrote it."""

    code: str
    message: str = ""
    details: list[ReceivedDetail] = []


class ReceivedProblem(msgspec.Struct):
    """The JSON of a refusal that comes before any protocol (RFC 9457), as our server and many others write it."""

    detail: str


class WireError(msgspec.Struct, omit_defaults=True):
    """The JSON of an error (Connect protocol, "Error end-stream")."""

    code: str
    message: str = ""
    details: list[WireDetail] = []


def encode_error(operation: Operation, error: Fault | CallError, *, own: bool) -> bytes:
    """The JSON of an error; Meristem's `own` client needs no protobuf of a fault in it."""
    details = [
        WireDetail(each.type, base64.b64encode(each.value).rstrip(b"=").decode(), each.json)
        for each in details_of(operation, error, binary=not own)
    ]
    return encode(WireError(error.code.value, message_of(error), details))


def failed(operation: Operation, error: Fault | CallError, *, own: bool) -> Response:
    """The response that carries an error of a unary call."""
    return Response(status_of_error(error), JSON, encode_error(operation, error, own=own), fields_of(error))


def read_error(operation: Operation, error: ReceivedError) -> Fault | CallError:
    """The error that the server meant; details that are not what their types say are left out."""
    try:
        return error_of(operation, error.code, error.message, {each.type: each.debug for each in error.details})
    except msgspec.DecodeError:
        return error_of(operation, error.code, error.message, {})


def read_unary_error(operation: Operation, status: int, body: bytes, where: str) -> Fault | CallError:
    """The error of an answer whose status is not 200; a proxy's own answer becomes the code its status means."""
    try:
        return read_error(operation, decoder(ReceivedError)(body))
    except msgspec.DecodeError:
        code = CODE_OF_STATUS.get(status, Code.UNKNOWN)
        message = f"{operation.label}: {where} answered HTTP {status}{_meaning(operation, status, body)}"
        return CallError(code, message, may_have_happened=status not in NEVER_SERVED)


def _meaning(operation: Operation, status: int, body: bytes) -> str:
    if status == 404:
        return f": {unserved(operation)}, or it is no answer of a Meristem server"
    try:
        return f": {decoder(ReceivedProblem)(body).detail}"
    except msgspec.DecodeError:
        return ", which is no answer of a Meristem server"
