"""Timestamp and Duration of protobuf: seconds and nanoseconds, where Python has microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000_000  # nanoseconds


def read_timestamp(message: Any) -> datetime:
    """The moment of a Timestamp, in UTC; what is finer than a microsecond is cut.

    Raises OverflowError, also for nanoseconds that are not those of one second (timestamp.proto: they count forward).
    """
    if not 0 <= message.nanos < SECOND:
        raise OverflowError("the nanoseconds of a Timestamp are 0 to 999,999,999")
    return EPOCH + timedelta(0, message.seconds, message.nanos // 1000)


def write_timestamp(value: datetime, message: Any) -> None:
    """Fill a Timestamp; raises ValueError for a datetime without a zone, which is no moment."""
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no zone, and a Timestamp is a moment: give it one, e.g. tzinfo=UTC")
    since = value - EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1000


def read_duration(message: Any) -> timedelta:
    """The timedelta of a Duration; what is finer than a microsecond is cut.

    Raises OverflowError, also for nanoseconds of more than a second or of another sign (duration.proto).
    """
    seconds, nanos = message.seconds, message.nanos
    if not -SECOND < nanos < SECOND or (nanos < 0 < seconds) or (seconds < 0 < nanos):
        raise OverflowError("the nanoseconds of a Duration are less than a second, and of one sign with its seconds")
    return timedelta(0, seconds, nanos // 1000 if nanos >= 0 else -(-nanos // 1000))


def write_duration(value: timedelta, message: Any) -> None:
    """Fill a Duration."""
    micros = value // timedelta(microseconds=1)
    seconds, rest = divmod(abs(micros), 1_000_000)
    message.seconds = -seconds if micros < 0 else seconds
    message.nanos = (-rest if micros < 0 else rest) * 1000
