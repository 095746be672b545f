"""What the service tells itself, so that each letter is sent, and repeated, on its own."""

from __future__ import annotations

from uuid import UUID

from hotels.contracts.notifications import Letter
from hotels.contracts.reservations import Booking
from meristem import Event


class LetterDue(Event, package="hotels.notifications.v1", key="recipient"):
    """A letter must be written; nobody gets a later one before an earlier one."""

    booking_id: UUID
    letter: Letter
    recipient: str
    booking: Booking
    receipt: str = ""
