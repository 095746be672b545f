"""Books rooms: a booking ends either complete or undone, whatever fails on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final
from uuid import UUID, uuid4, uuid5

from hotels.contracts.documents import Documents, ReceiptIssued, ReceiptUnknown
from hotels.contracts.notifications import Letter, LetterSent
from hotels.contracts.payments import Charge, Payment, Payments
from hotels.contracts.reservations import (
    Booking,
    BookingCancelled,
    BookingConfirmed,
    BookingFailed,
    BookingRequest,
    BookingUnknown,
    Milestone,
    NotCancellable,
    ReceiptPending,
    Reservations,
    Status,
)
from hotels.contracts.rooms import Hold, HoldUnknown, Rooms, RoomTaken
from hotels.contracts.users import NewUser, User, Users
from hotels.reservations import tables
from hotels.reservations.orders import Order, make_order
from hotels.reservations.records import Kept, Records
from hotels.stays import check_arrival, refused
from meristem import CallError, Clock, Code, Database, Fault, Flow, Service, current, on, saga

BOOKINGS = UUID("a3a0c0de-5d0e-5c0b-8f0e-b00c1e5b00c5")
A_WEEK = 7 * 86400.0
TOLD = {
    Letter.RECAP: Milestone.GUEST_TOLD,
    Letter.CANCELLATION: Milestone.GUEST_TOLD,
    Letter.RESERVATION: Milestone.HOTEL_TOLD,
    Letter.CANCELLATION_HOTEL: Milestone.HOTEL_TOLD,
}


@final
@dataclass
class ReservationsService(Reservations, Service, tables=tables.metadata, provides=[Records]):
    """Ties rooms, users, payments and documents together by two sagas: one makes a booking, one cancels it."""

    rooms: Rooms
    users: Users
    payments: Payments
    documents: Documents
    records: Records
    database: Database
    clock: Clock

    async def book(self, request: BookingRequest) -> Booking:
        check_arrival(request.arrival, self.clock.now().date())
        details = await self.rooms.room(request.room_id)
        if request.guests > details.room.capacity:
            raise refused("guests", f"This room is for {details.room.capacity} at most.")
        guest = await self._guest(request)
        card = await self.payments.tokenize(request.card)  # from here on there is no card, only the bank's token
        return await self.make_booking(make_order(_booking_id(), request, details, guest, card))

    @saga(search=["order.booking_id"])
    async def make_booking(self, flow: Flow, order: Order) -> Booking:
        await flow.with_undo(flow.step(self._open, order), self._give_up)
        try:
            hold = await flow.with_undo(self.rooms.hold(order.stay), self.rooms.release)
            await flow.step(self._note, order.booking_id, Milestone.HELD)
            charge = Charge(booking_id=order.booking_id, amount=hold.price, card=order.card)
            payment = await flow.with_undo(self.payments.charge(charge), self.payments.refund)
            await flow.step(self._note, order.booking_id, Milestone.PAID)
            await self.rooms.confirm(hold.hold_id)
        except HoldUnknown:  # paying took so long that the room was given to somebody else
            await flow.step(self._explain, order.booking_id, "The room was no longer kept when the payment came.")
            raise RoomTaken(room_id=order.stay.room_id) from None
        except (Fault, CallError) as why:
            await flow.step(self._explain, order.booking_id, _reason(why))
            raise
        return await flow.step(self._confirm, order.booking_id, hold, payment)

    async def cancel(self, booking_id: UUID) -> Booking:
        booking = await self.booking(booking_id)
        if booking.status is Status.CANCELLED:
            return booking
        has_begun = self.clock.now().date() > booking.arrival
        if booking.status not in {Status.CONFIRMED, Status.CANCELLING} or has_begun:
            raise NotCancellable(booking_id=booking_id)
        return await self.cancel_booking(booking_id)

    # A bank that is closed opens again: the money must go back.
    @saga(patience=A_WEEK, search=["booking_id"])
    async def cancel_booking(self, flow: Flow, booking_id: UUID) -> Booking:
        kept = await flow.with_undo(flow.step(self._begin_to_cancel, booking_id), self._keep_after_all)
        if kept.payment is not None:
            await self.payments.refund(kept.payment)
        if kept.hold is not None:
            await self.rooms.release(kept.hold)
        return await flow.step(self._cancelled, booking_id)

    async def mine(self) -> list[Booking]:
        return await self.records.all_of(_user_id())

    async def booking(self, booking_id: UUID) -> Booking:
        found = await self.records.owned(booking_id, _user_id())
        if found is None:
            raise BookingUnknown(booking_id=booking_id)
        return found

    async def intended(self, intent: UUID) -> Booking | None:
        user_id = _user_id()
        booking_id = await self.records.intended(user_id, intent)
        return None if booking_id is None else await self.records.owned(booking_id, user_id)

    async def receipt(self, booking_id: UUID) -> bytes:
        await self.booking(booking_id)
        try:
            return await self.documents.receipt(booking_id)
        except ReceiptUnknown:
            raise ReceiptPending(booking_id=booking_id) from None

    @on(ReceiptIssued)
    async def receipt_issued(self, event: ReceiptIssued) -> None:
        """Track that the receipt can be read."""
        await self.records.add(event.booking_id, Milestone.RECEIPT_ISSUED, event.number)

    @on(LetterSent)
    async def letter_sent(self, event: LetterSent) -> None:
        """Track that the guest or the hotel was told."""
        await self.records.add(event.booking_id, TOLD[event.letter], f"{event.letter.value} to {event.recipient}")

    async def _guest(self, request: BookingRequest) -> User:
        identity = current().user
        if identity is not None:
            user = await self.users.user(UUID(identity.subject))
        else:
            user = None if request.guest is None else await self._enrolled(request.guest)
        if user is None:
            raise CallError(
                Code.UNAUTHENTICATED,
                "sign in, or give the guest's name, e-mail address and password",
                may_have_happened=False,
            )
        return user

    async def _enrolled(self, guest: NewUser) -> User:
        try:
            return await self.users.enroll(guest)
        except CallError as error:
            if error.code is not Code.INVALID_ARGUMENT:
                raise
            # What is wrong with the details is the guest's to know: said here, it is no text from below any more.
            raise CallError(error.code, error.message, violations=error.violations, may_have_happened=False) from None

    # The saga's own steps: each commits together with its place in the journal.

    async def _open(self, order: Order) -> UUID:
        await self.records.open(order)
        return order.booking_id

    async def _note(self, booking_id: UUID, milestone: Milestone) -> None:
        await self.records.add(booking_id, milestone)

    async def _explain(self, booking_id: UUID, reason: str) -> None:
        await self.records.explain(booking_id, reason)

    async def _confirm(self, booking_id: UUID, hold: Hold, payment: Payment) -> Booking:
        async with self.database.begin() as tx:
            booking = await self.records.confirm(booking_id, hold, payment)
            await tx.publish(BookingConfirmed(booking_id=booking_id, booking=booking))
        return booking

    async def _give_up(self, booking_id: UUID) -> None:
        """The last undo: by now the money is back and the room is free."""
        async with self.database.begin() as tx:
            if not await self.records.move(booking_id, Status.PENDING, Status.FAILED):
                return
            booking = await self.records.existing(booking_id)
            reached = {track.milestone for track in booking.tracking}
            if Milestone.PAID in reached:
                await self.records.add(booking_id, Milestone.REFUNDED)
            if Milestone.HELD in reached:
                await self.records.add(booking_id, Milestone.RELEASED)
            if not booking.reason:
                await self.records.explain(booking_id, "Something that the booking needs could not be reached.")
            await self.records.add(booking_id, Milestone.FAILED, booking.reason)
            booking = await self.records.existing(booking_id)
            await tx.publish(BookingFailed(booking_id=booking_id, booking=booking))

    async def _begin_to_cancel(self, booking_id: UUID) -> Kept:
        await self.records.move(booking_id, Status.CONFIRMED, Status.CANCELLING)
        return await self.records.kept(booking_id)

    async def _keep_after_all(self, kept: Kept) -> None:
        if kept.payment is not None:
            await self.records.move(kept.payment.booking_id, Status.CANCELLING, Status.CONFIRMED)

    async def _cancelled(self, booking_id: UUID) -> Booking:
        async with self.database.begin() as tx:
            if await self.records.move(booking_id, Status.CANCELLING, Status.CANCELLED):
                for milestone in (Milestone.REFUNDED, Milestone.RELEASED, Milestone.CANCELLED):
                    await self.records.add(booking_id, milestone)
                booking = await self.records.existing(booking_id)
                await tx.publish(BookingCancelled(booking_id=booking_id, booking=booking))
            return await self.records.existing(booking_id)


def _booking_id() -> UUID:
    """The same for every repetition of one request, so that a repetition finds the booking that the first one made."""
    key = current().key
    return uuid4() if key is None else uuid5(BOOKINGS, key)


def _user_id() -> UUID:
    identity = current().user
    if identity is None:
        raise CallError(Code.UNAUTHENTICATED, "sign in first", may_have_happened=False)
    return UUID(identity.subject)


def _reason(why: Fault | CallError) -> str:
    """Why a booking failed, in a sentence for its guest."""
    if isinstance(why, Fault):
        return why.summary()
    return "Something that the booking needs did not work." if why.private else why.message
