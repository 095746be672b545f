"""JSON as every wire of Meristem speaks it, and the errors of what does not fit."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.checks import Check, checker
from meristem.contracts.costly import frugal
from meristem.contracts.depth import DEEPEST_VALUE, TOO_DEEP, TooDeepError, check_depth, holds_itself
from meristem.contracts.losses import keeper
from meristem.contracts.wiretypes import UnknownNameError, fields_of, struct_of, unwrap
from meristem.errors import CallError, Code, Fault, FieldViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AT: Final = " - at `"
PATH: Final = re.compile(r"(?:key in )?\$(?P<path>.*)`", re.DOTALL)
LONGEST_REASON: Final = 500  # it quotes what was sent, which may be all of a body
MISSING: Final = re.compile(r"^Object missing required field `(?P<field>.+)`$")
UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<field>.+)`$")

# A Decimal as text: most readers make a double of a number, and lose its digits (RFC 8259, section 6).
encode: Final = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode


@cache
def encoder(type_: Any) -> Callable[[Any], bytes]:
    """Encodes values of `type_` as JSON; raises TypeError or ValueError for what JSON cannot hold."""
    write = keeper(type_, encode)
    if not holds_itself(type_):
        return write

    def encoded(value: Any) -> bytes:
        check_depth(value)
        return write(value)

    return encoded


@cache
def decoder(type_: Any, *, deepest: int = DEEPEST_VALUE) -> Callable[[bytes | str | msgspec.Raw], Any]:
    """Decodes JSON into `type_`, as written by Meristem itself; raises msgspec.ValidationError or RecursionError."""
    decode = _frugally(type_)
    check = _checks(type_, deepest)
    if check is None:
        return decode

    def checked(body: bytes | str | msgspec.Raw) -> Any:
        value = decode(body)
        check(value, "")
        return value

    return checked


def _frugally(type_: Any) -> Callable[[bytes | str | msgspec.Raw], Any]:
    """Decodes JSON into `type_`, looked at before where a sender could have that take long."""
    decode, careful = msgspec.json.Decoder(type_).decode, frugal(type_)
    if careful is None:
        return decode
    look, least = careful
    read = msgspec.json.Decoder(float_hook=str).decode

    def frugally(body: bytes | str | msgspec.Raw) -> Any:
        if (len(body) if isinstance(body, str) else memoryview(body).nbytes) > least:
            look(read(body))
        return decode(body)

    return frugally


def _checks(type_: Any, deepest: int = DEEPEST_VALUE) -> Check | None:
    """What msgspec does not check of a value: how deep it is, and its decimals."""
    decimals = checker(type_)
    if not holds_itself(type_):
        return decimals

    def check(value: Any, path: str) -> None:
        check_depth(value, deepest=deepest)
        if decimals is not None:
            decimals(value, path)

    return check


def audit(type_: Any) -> Callable[[Any], Any]:
    """Hands on a value that msgspec has checked, or raises msgspec.ValidationError for what it does not check."""
    check = _checks(type_)

    def audited(value: Any) -> Any:
        if check is not None:
            check(value, "")
        return value

    return audited


def violation(error: Exception) -> FieldViolation:
    """Which field a validation error is about (`guest.email`), and the reason in lower case."""
    if isinstance(error, RecursionError | TooDeepError):
        return FieldViolation("", TOO_DEEP)
    reason, at, where = str(error).rpartition(AT)  # the last: what is quoted before it may look like another
    match = PATH.fullmatch(where) if at else None
    reason, path = (reason, match["path"]) if match else (str(error), "")
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[:LONGEST_REASON]}…"
    missing = MISSING.match(reason)
    if missing is not None:
        path, reason = f"{path}.{missing['field']}", "is required"
    unknown = UNKNOWN.match(reason)
    if unknown is not None:
        path, reason = f"{path}.{unknown['field']}", "is unknown"
    start = reason[:1] if reason[:2].isupper() else reason[:1].lower()  # "JSON is malformed" stays as it is
    return FieldViolation(path.lstrip("."), start + reason[1:])


def refusal(error: Exception) -> CallError:
    """The error a caller gets whose request does not fit its type."""
    found = violation(error)
    where = f"{found.field}: " if found.field else ""
    if found.reason == TOO_DEEP:
        where = "it "
    return CallError(Code.INVALID_ARGUMENT, f"{where}{found.reason}", may_have_happened=False, violations=(found,))


UNENCODABLE: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
"""What an encoder raises for a value that has no JSON."""


def unencodable(error: Exception) -> CallError:
    """The error a caller gets whose request has no JSON; nothing was sent."""
    if isinstance(error, RecursionError | TooDeepError):
        return refusal(error)
    return CallError(Code.INVALID_ARGUMENT, f"it cannot cross a wire: {error}", may_have_happened=False)


MOST_VIOLATIONS: Final = 100


def refusal_of(found: Sequence[FieldViolation]) -> CallError:
    """The error a caller gets whose request does not fit in several places."""
    message = "; ".join(f"{each.field}: {each.reason}" for each in found)
    return CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False, violations=tuple(found))


def violations(type_: Any, value: Any, path: str = "") -> list[FieldViolation]:
    """Everything in a decoded value that does not fit, messages inside of messages and lists looked at one by one."""
    struct, bare = struct_of(type_), unwrap(type_)
    found: list[FieldViolation] = []
    # One with a tag is judged whole, by msgspec: its tag may be what is wrong.
    if struct is not None and isinstance(value, dict) and struct.__struct_config__.tag_field is None:
        found = _in_fields(type_, value, path)
    elif typing.get_origin(bare) is list and isinstance(value, list):
        item = typing.get_args(bare)[0]
        found = [
            each for at, one in enumerate(value[:MOST_VIOLATIONS]) for each in violations(item, one, f"{path}[{at}]")
        ]
    if found:
        return found[:MOST_VIOLATIONS]
    try:
        audit(type_)(msgspec.convert(value, type_, str_keys=True))
    except (msgspec.ValidationError, RecursionError) as error:
        one = violation(error)
        joined = path + (one.field if one.field.startswith("[") else f".{one.field}" if one.field else "")
        return [FieldViolation(joined.lstrip("."), one.reason)]
    return []


def _in_fields(type_: Any, value: dict[str, Any], path: str) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for field in fields_of(type_):
        inner = f"{path}.{field.encode_name}".lstrip(".")
        if field.encode_name in value:
            found += violations(field.type, value[field.encode_name], inner)
        elif field.required:
            found.append(FieldViolation(inner, "is required"))
    return found


@cache
def fault_payload(fault: Any) -> type[msgspec.Struct]:
    """The message that carries a fault's fields on the wire."""
    hints: dict[str, Any] = {}
    for cls in reversed(fault.__mro__):
        if issubclass(cls, Fault) and cls is not Fault:
            hints |= _own_hints(cls)
    fields: list[Any] = []
    for name in fault.fields:
        default = getattr(fault, name, msgspec.NODEFAULT)
        fields.append((name, hints[name]) if default is msgspec.NODEFAULT else (name, hints[name], default))
    named: dict[str, Any] = {"module": fault.__module__, "namespace": {"__doc__": fault.__doc__}}
    return msgspec.defstruct(fault.__name__, fields, frozen=True, kw_only=True, **named)


def _own_hints(cls: type) -> dict[str, Any]:
    own = inspect.get_annotations(cls)
    holder = type(cls.__name__, (), {"__annotations__": own, "__module__": cls.__module__})
    try:
        return typing.get_type_hints(holder, vars(sys.modules[cls.__module__]), include_extras=True)
    except NameError as error:
        raise UnknownNameError(cls.__name__, error.name) from None


def encode_fault(fault: Fault) -> bytes:
    """A fault's fields as JSON."""
    kind: Any = type(fault)
    return encode(fault_payload(kind)(**fault.values()))


def decode_fault(fault: type[Fault], body: bytes | msgspec.Raw) -> Fault:
    """Make the fault again from its fields as JSON."""
    kind: Any = fault
    payload = decoder(fault_payload(kind))(body)
    return fault.build({name: getattr(payload, name) for name in fault.fields})


def declared(fault: Fault, raises: tuple[type[Fault], ...]) -> Fault | None:
    """The fault as a contract declares it, with those fields alone; None for one that it does not.

    A fault of a subclass is what the nearest declared class says: callers know no other.
    """
    kind = next((each for each in type(fault).__mro__ if each in raises), None)
    if kind is None:
        return None
    declares: Any = kind
    # By the codec and back: a subclass may have put anything into the fields, and only what is declared may leave.
    payload = fault_payload(declares)(**{name: getattr(fault, name) for name in kind.fields})
    return decode_fault(kind, encode(payload))
