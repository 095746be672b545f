"""Receipts as PDF."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from meristem import Code, Contract, Event, Fault, safe


class ReceiptUnknown(Fault, code=Code.NOT_FOUND):
    """There is no receipt for this booking yet."""

    booking_id: UUID


class ReceiptIssued(Event, package="hotels.documents.v1", key="booking_id"):
    """The receipt of a booking can be read."""

    booking_id: UUID
    number: str
    issued: datetime


class Documents(Contract, Protocol, package="hotels.documents.v1"):
    """Issues the receipt of every confirmed booking and keeps it."""

    @safe(raises=[ReceiptUnknown])
    async def receipt(self, booking_id: UUID) -> bytes:
        """The receipt of a booking as PDF."""
        ...
