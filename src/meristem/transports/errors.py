"""What may leave of an error, whatever the wire: declared faults, call errors, and the details that they carry."""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from meristem.context import Context, Trace, using
from meristem.contracts.codec import declared, decode_fault, decoder, encode_fault
from meristem.contracts.undeclared import undeclared, withheld
from meristem.errors import DEFINITE, CallError, Code, Fault, FieldViolation, SagaParked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from meristem.contracts.operation import Operation

BAD_REQUEST: Final = "google.rpc.BadRequest"
RETRY_INFO: Final = "google.rpc.RetryInfo"
NOT_HAPPENED: Final = "meristem.v1.NotHappened"
MAY_HAVE_HAPPENED: Final = "meristem.v1.MayHaveHappened"  # where the code alone would say that nothing did
FROM_BELOW: Final = "meristem.v1.FromBelow"
FROM_SERVICE: Final = "meristem.v1.FromService"  # where the code alone could be that of the way, too
PARKED: Final = "meristem.v1.SagaParked"
DELAY: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s")

T = TypeVar("T")


class ErrorDetail(msgspec.Struct):
    """A detail of an error: a protobuf message by name, its bytes, and the same as JSON."""

    type: str
    value: bytes
    json: Any


def shield(operation: Operation, error: BaseException) -> Fault | CallError:
    """What the caller is told of `error`: declared faults and call errors as they are, nothing of anything else."""
    if isinstance(error, CallError) or type(error) in operation.raises:
        return error  # type: ignore[return-value]
    if isinstance(error, Fault) and (known := declared(error, operation.raises)) is not None:
        return known
    return undeclared(operation, error)


def show(operation: Operation, error: BaseException, context: Context | None) -> Fault | CallError:
    """What a caller from outside is told: as `shield`, and of an error of a call below no more than its code.

    What the log says of it stands under the trace of `context`, or under a new one that the caller is told.
    """
    around = context or Context()
    if around.trace is None:
        around.trace = Trace.start()
    with using(around):
        known = shield(operation, error)
        return withheld(operation, known) if isinstance(known, CallError) and known.private else known


class Shown:
    """A stream for a caller from outside: an error of it is told as `show` says."""

    def __init__(self, operation: Operation, items: AsyncIterator[Any], context: Context) -> None:
        self._operation = operation
        self._items = items
        self._context = context

    def __aiter__(self) -> Shown:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            raise
        except Exception as error:
            raise show(self._operation, error, self._context) from None

    async def aclose(self) -> None:
        """End the stream early."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()


def written(operation: Operation, error: Fault | CallError, write: Callable[[Fault | CallError], T]) -> T:
    """The error as `write` puts it on the wire, or `internal` where it can't: a fault's field may hold anything."""
    try:
        return write(error)
    except Exception as problem:  # a boundary: the caller must not take silence for an answer
        return write(undeclared(operation, problem))


def message_of(error: Fault | CallError) -> str:
    """The text of an error for people, with `?` for half a character: no encoding has bytes for one."""
    text = error.summary() if isinstance(error, Fault) else error.message
    return text if text.isascii() else text.encode(errors="replace").decode()


def details_of(operation: Operation, error: Fault | CallError, *, binary: bool) -> list[ErrorDetail]:
    """What an error carries besides its code and message; without `binary` a fault has its JSON alone."""
    if isinstance(error, Fault):
        value = _fault_bytes(operation, error) if binary else b""
        return [ErrorDetail(fault_type(operation, type(error)), value, msgspec.Raw(encode_fault(error)))]
    details = []
    if error.violations:
        found = [{"field": each.field, "description": each.reason} for each in error.violations]
        value = b"".join(_field(1, _text(1, each.field) + _text(2, each.reason)) for each in error.violations)
        details.append(ErrorDetail(BAD_REQUEST, value, {"fieldViolations": found}))
    if error.retry_after is not None:
        seconds, fraction = divmod(max(0.0, error.retry_after), 1)
        # google.protobuf.Duration: field 1 are whole seconds, field 2 nanoseconds, both varints.
        duration = b"\x08" + _varint(int(seconds)) + b"\x10" + _varint(int(fraction * 1e9))
        details.append(ErrorDetail(RETRY_INFO, _field(1, duration), {"retryDelay": f"{error.retry_after:f}s"}))
    if not error.may_have_happened:
        details.append(ErrorDetail(NOT_HAPPENED, b"", {}))
    elif error.code in DEFINITE:
        details.append(ErrorDetail(MAY_HAVE_HAPPENED, b"", {}))
    if error.private:
        details.append(ErrorDetail(FROM_BELOW, b"", {}))
    if error.from_service and error.code not in DEFINITE:
        details.append(ErrorDetail(FROM_SERVICE, b"", {}))
    if isinstance(error, SagaParked):
        details.append(ErrorDetail(PARKED, _text(1, error.saga_id), {"sagaId": error.saga_id}))
    return details


class BadField(msgspec.Struct):
    """A field violation of `google.rpc.BadRequest`, as JSON has it."""

    field: str = ""
    description: str = ""


class BadRequest(msgspec.Struct, rename="camel"):
    """`google.rpc.BadRequest`."""

    field_violations: list[BadField] = []


class Parked(msgspec.Struct, rename="camel"):
    """`meristem.v1.SagaParked`: a message with the saga's id as its field 1."""

    saga_id: str


class RetryInfo(msgspec.Struct, rename="camel"):
    """`google.rpc.RetryInfo`; a delay is written as `1.5s`."""

    retry_delay: str = ""


def error_of(operation: Operation, code: str, message: str, details: Mapping[str, msgspec.Raw]) -> Fault | CallError:
    """The error that a server meant: `details` are the JSON of its details by type.

    Raises msgspec.DecodeError for a detail that is not what its type says.
    """
    for fault in operation.raises:
        # Other servers may leave the JSON out: the fault's bytes alone are not read here, so its code must do.
        if (json := details.get(fault_type(operation, fault))) is not None and bytes(json) != b"null":
            return decode_fault(fault, json)
    private = FROM_BELOW in details
    error: CallError
    if (parked := _optional(Parked, details.get(PARKED))) is not None:
        error = SagaParked(parked.saga_id, private=private)
    else:
        error = CallError(
            next((each for each in Code if each.value == code), Code.UNKNOWN),
            message,
            may_have_happened=_happened(details),
            violations=_violations(details.get(BAD_REQUEST)),
            retry_after=_delay(details.get(RETRY_INFO)),
            private=private,
        )
    error.answered = True
    error.from_service = FROM_SERVICE in details
    return error


def unserved(operation: Operation) -> str:
    """What a client says where an operation is not found: its release may be ahead of the server's."""
    return f"no service there implements {operation.contract}, or only a release of it without {operation.wire_name}"


def fault_type(operation: Operation, fault: type[Fault]) -> str:
    """The protobuf name under which a fault crosses the wire."""
    return f"{operation.contract.rpartition('.')[0]}.{fault.__name__}"


@cache
def has_protobuf() -> bool:
    """Whether the extra for binary protobuf is installed."""
    try:
        return importlib.util.find_spec("google.protobuf") is not None
    except ModuleNotFoundError:
        return False


def _happened(details: Mapping[str, msgspec.Raw]) -> bool | None:
    """Whether a call may have happened, where its server says so; else its code decides."""
    if NOT_HAPPENED in details:
        return False
    return True if MAY_HAVE_HAPPENED in details else None


def _violations(json: msgspec.Raw | None) -> tuple[FieldViolation, ...]:
    found = _optional(BadRequest, json)
    return (
        () if found is None else tuple(FieldViolation(each.field, each.description) for each in found.field_violations)
    )


def _delay(json: msgspec.Raw | None) -> float | None:
    found = _optional(RetryInfo, json)
    match = None if found is None else DELAY.fullmatch(found.retry_delay)
    return None if match is None else float(match[1])


def _optional(type_: type[T], json: msgspec.Raw | None) -> T | None:
    optional: Any = type_ | None
    found: T | None = None if json is None else decoder(optional)(json)
    return found


def _fault_bytes(operation: Operation, fault: Fault) -> bytes:
    if not has_protobuf():
        return b""  # the fields stand in the JSON
    binary = importlib.import_module("meristem.contracts.protobuf.binary")
    written: bytes = binary.fault_bytes(fault, operation.contract.rpartition(".")[0])
    return written


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field (protobuf encoding, wire type 2); two messages of a fixed shape need no library."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())
