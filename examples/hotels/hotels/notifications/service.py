"""Writes to guests and hotels.

What happens to a booking makes letters due; each due letter is an event of its own, so that the mail server's refusal
of one never repeats or holds back another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final
from uuid import UUID

from hotels.contracts.documents import Documents, ReceiptIssued
from hotels.contracts.notifications import Letter, LetterSent, Notifications, Sent
from hotels.contracts.reservations import Booking, BookingCancelled, BookingConfirmed
from hotels.notifications import tables
from hotels.notifications.events import LetterDue
from hotels.notifications.letters import Stationery, recipient
from hotels.notifications.mailer import Mailer
from meristem import Clock, Database, Message, Service, on


class Known(Message):
    """What is known of a booking so far."""

    booking: Booking | None
    receipt: str | None


@final
@dataclass
class NotificationsService(Notifications, Service, tables=tables.metadata, provides=[Mailer, Stationery]):
    """Mail by SMTP, once for each letter of each booking."""

    mailer: Mailer
    stationery: Stationery
    documents: Documents
    database: Database
    clock: Clock

    async def sent(self, booking_id: UUID) -> list[Sent]:
        return await self.database.fetch_all(tables.LETTERS, {"booking_id": booking_id}, into=Sent)

    @on(BookingConfirmed)
    async def confirmed(self, event: BookingConfirmed) -> None:
        """Tell the hotel; tell the guest too if the receipt came first."""
        booking = event.booking
        async with self.database.begin() as tx:
            tx.defer(tables.OPEN_BOOKING, {"booking_id": event.booking_id})
            told = {"wanted": event.booking_id, "told": booking}
            known = await tx.fetch_one(tables.ADD_BOOKING, told, into=Known)
            await tx.publish(_due(Letter.RESERVATION, booking))
            if known is not None and known.receipt is not None:
                await tx.publish(_due(Letter.RECAP, booking, known.receipt))

    @on(ReceiptIssued)
    async def receipt_issued(self, event: ReceiptIssued) -> None:
        """Tell the guest; not yet if the booking isn't known here, whose event may come later than the receipt's."""
        async with self.database.begin() as tx:
            tx.defer(tables.OPEN_BOOKING, {"booking_id": event.booking_id})
            found = {"wanted": event.booking_id, "number": event.number}
            known = await tx.fetch_one(tables.ADD_RECEIPT, found, into=Known)
            if known is not None and known.booking is not None:
                await tx.publish(_due(Letter.RECAP, known.booking, event.number))

    @on(BookingCancelled)
    async def cancelled(self, event: BookingCancelled) -> None:
        """Tell both."""
        async with self.database.begin() as tx:
            await tx.publish(_due(Letter.CANCELLATION, event.booking))
            await tx.publish(_due(Letter.CANCELLATION_HOTEL, event.booking))

    @on(LetterDue)
    async def send(self, due: LetterDue) -> None:
        """Hand the letter to the mail server, then write down that it was; a server that is down is tried again."""
        which = {"booking_id": due.booking_id, "letter": due.letter.value}
        if await self.database.fetch_value(tables.LETTER, which) is not None:
            return
        pdf = await self.documents.receipt(due.booking_id) if due.letter is Letter.RECAP else None
        now = self.clock.now()
        await self.mailer.send(self.stationery.write(due, now, pdf))
        sent = {"recipient": due.recipient, "message_id": self.stationery.message_id(due), "sent": now}
        async with self.database.begin() as tx:
            tx.defer(tables.INSERT_LETTER, {**which, **sent})
            await tx.publish(
                LetterSent(booking_id=due.booking_id, letter=due.letter, recipient=due.recipient, sent=now)
            )


def _due(letter: Letter, booking: Booking, receipt: str = "") -> LetterDue:
    return LetterDue(
        booking_id=booking.booking_id,
        letter=letter,
        recipient=recipient(letter, booking),
        booking=booking,
        receipt=receipt,
    )
