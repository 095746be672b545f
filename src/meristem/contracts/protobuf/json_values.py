"""Struct, Value and ListValue of protobuf: any JSON."""

from __future__ import annotations

from collections.abc import Callable
from math import copysign
from typing import Any, Final

EXACT: Final = 2**53


def read_value(message: Any) -> Any:
    """The JSON that a Value holds; a whole number is an int, as it is in JSON."""
    kind = message.WhichOneof("kind")
    if kind == "number_value":
        number: float = message.number_value
        return int(number) if _is_whole(number) else number
    if kind == "struct_value":
        return _read_struct(message.struct_value)
    if kind == "list_value":
        return _read_list(message.list_value)
    return getattr(message, kind) if kind in ("string_value", "bool_value") else None


def _is_whole(number: float) -> bool:
    # Of -0.0 an int would lose the sign, and written again it would be another number.
    return number.is_integer() and -EXACT <= number <= EXACT and (number != 0 or copysign(1, number) > 0)


def _read_struct(message: Any) -> dict[str, Any]:
    return {key: read_value(each) for key, each in message.fields.items()}


def _read_list(message: Any) -> list[Any]:
    return [read_value(each) for each in message.values]


def write_value(value: Any, message: Any) -> None:
    """Fill a Value; raises TypeError or ValueError for what is no JSON, or no number of 53 bits."""
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int | float):
        if isinstance(value, int) and not -EXACT <= value <= EXACT:
            raise ValueError(f"{value} is beyond the whole numbers of google.protobuf.Value, which end at 2**53")
        if value - value != 0:
            raise ValueError(f"{value} is no number")
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        _write_struct(value, message.struct_value)
    elif isinstance(value, list | tuple):
        message.list_value.SetInParent()
        _write_list(value, message.list_value)
    else:
        raise TypeError(f"{value!r} is no JSON")


def _write_struct(value: Any, message: Any) -> None:
    for key, each in value.items():
        write_value(each, message.fields[key])


def _write_list(value: Any, message: Any) -> None:
    for each in value:
        write_value(each, message.values.add())


READ: Final[dict[str, Callable[[Any], Any]]] = {
    "google.protobuf.Struct": _read_struct,
    "google.protobuf.Value": read_value,
    "google.protobuf.ListValue": _read_list,
}
WRITE: Final[dict[str, Callable[[Any, Any], None]]] = {
    "google.protobuf.Struct": _write_struct,
    "google.protobuf.Value": write_value,
    "google.protobuf.ListValue": _write_list,
}
