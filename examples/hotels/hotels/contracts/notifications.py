"""What is told to guests and hotels."""

from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from meristem import Contract, Event, Message, safe


class Letter(Enum):
    """The kinds of mail that are sent for a booking."""

    RECAP = "recap"
    RESERVATION = "reservation"
    CANCELLATION = "cancellation"
    CANCELLATION_HOTEL = "cancellation_hotel"


class Sent(Message):
    """A mail that was handed to the mail server."""

    booking_id: UUID
    letter: Letter
    recipient: str
    message_id: str
    sent: datetime


class LetterSent(Event, package="hotels.notifications.v1", key="booking_id"):
    """A mail about a booking was sent."""

    booking_id: UUID
    letter: Letter
    recipient: str
    sent: datetime


class Notifications(Contract, Protocol, package="hotels.notifications.v1"):
    """Writes to guests and hotels when something happens to a booking."""

    @safe
    async def sent(self, booking_id: UUID) -> list[Sent]:
        """The mails sent for a booking, oldest first."""
        ...
