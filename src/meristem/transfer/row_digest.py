"""Tells by one number whether two tables hold the same rows, whatever their order and their database system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import JSON

_BITS: Final = 128


class TableDigest(msgspec.Struct):
    """How many rows, and the sum of their digests: rows that come in another order have the same sum."""

    rows: int = 0
    sum: int = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows in."""
        for row in rows:
            text = "\x1e".join(f"{name}\x1f{canonical(value)}" for name, value in sorted(row.items()))
            found = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BITS // 8)
            self.rows += 1
            self.sum = (self.sum + int.from_bytes(found.digest(), "big")) % (1 << _BITS)


def canonical(value: Any) -> str:
    """One text for values that are the same: `1`, `1.0` and `Decimal("1.00")`; an instant in any time zone."""
    if value is None:
        return "-"
    if value is JSON.NULL:  # it is a number, too
        return "j-"
    # In this order: True is an int, a datetime is a date.
    for kinds, sign, write in _WRITTEN:
        if isinstance(value, kinds):
            return f"{sign}{write(value)}"
    return f"o{value!r}"


def _instant(value: datetime) -> str:
    return (value.astimezone(UTC) if value.tzinfo else value).isoformat()


def _number(value: float | Decimal) -> str:
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite():
        return str(exact)
    # Not by `normalize()`, which rounds to the context's 28 digits.
    text = format(exact, "f")
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short in {"-0", ""} else short


_WRITTEN: Final[list[tuple[Any, str, Callable[[Any], object]]]] = [
    (bool, "b", int),
    ((int, float, Decimal), "n", _number),
    (str, "s", str),
    ((bytes, bytearray, memoryview), "x", lambda value: bytes(value).hex()),
    (datetime, "t", _instant),
    ((date, time), "t", lambda value: value.isoformat()),
    (timedelta, "d", lambda value: value // timedelta(microseconds=1)),
    (UUID, "u", lambda value: value.hex),
    (Enum, "e", lambda value: value.name),
    ((dict, list, tuple), "j", lambda value: json.dumps(value, sort_keys=True, default=canonical)),
]
