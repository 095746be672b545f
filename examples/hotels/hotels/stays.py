"""What several services ask of a stay, and say of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID

from meristem import CallError, Code, FieldViolation

DAYS_AHEAD = 730


def refused(field: str, reason: str) -> CallError:
    """The error that refuses one field of a request."""
    return CallError(Code.INVALID_ARGUMENT, f"{field}: {reason}", violations=(FieldViolation(field, reason),))


def check_arrival(arrival: date, today: date) -> None:
    """Refuse a day of arrival that is past, or farther away than rooms are offered."""
    if arrival < today:
        raise refused("arrival", "This day is past; choose today or a later day.")
    if arrival - today > timedelta(days=DAYS_AHEAD):
        raise refused("arrival", f"Rooms can be booked {DAYS_AHEAD} days ahead; choose an earlier day.")


def nights_of(arrival: date, nights: int) -> Iterator[date]:
    """The nights of a stay, each named by the day on which it begins."""
    return (arrival + timedelta(days=number) for number in range(nights))


def reference(booking_id: UUID) -> str:
    """A short form of a booking's id, for letters and the telephone."""
    return booking_id.hex[:8].upper()
