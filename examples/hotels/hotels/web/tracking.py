"""A booking's tracking record as a guest reads it: what has happened, what is still to come."""

from datetime import datetime

import msgspec

from hotels.contracts.notifications import Letter
from hotels.contracts.reservations import Booking, Milestone, Status, Track

HAPPENED = {
    Milestone.REQUESTED: "We received your booking",
    Milestone.HELD: "The room was set aside for you",
    Milestone.PAID: "Your payment went through",
    Milestone.CONFIRMED: "The booking is confirmed",
    Milestone.RECEIPT_ISSUED: "Your receipt is ready",
    Milestone.GUEST_TOLD: "We sent you a summary by e-mail",
    Milestone.HOTEL_TOLD: "The hotel knows that you are coming",
    Milestone.FAILED: "The booking did not go through",
    Milestone.REFUNDED: "Your money was given back",
    Milestone.RELEASED: "The room was released",
    Milestone.CANCELLED: "The booking was cancelled",
}
TO_COME = {
    Milestone.HELD: "Setting the room aside",
    Milestone.PAID: "Taking the payment",
    Milestone.CONFIRMED: "Confirming the booking",
    Milestone.RECEIPT_ISSUED: "Preparing your receipt",
    Milestone.GUEST_TOLD: "Sending you a summary by e-mail",
    Milestone.HOTEL_TOLD: "Telling the hotel",
}
UNDONE = (Milestone.REFUNDED, Milestone.RELEASED, Milestone.CANCELLED)
TOLD_OF_CANCELLATION = {
    Milestone.GUEST_TOLD: "We confirmed the cancellation by e-mail",
    Milestone.HOTEL_TOLD: "The hotel knows that you are not coming",
}
TO_TELL = {
    Milestone.GUEST_TOLD: "Confirming the cancellation by e-mail",
    Milestone.HOTEL_TOLD: "Telling the hotel that you are not coming",
}
CANCELLATIONS = (Letter.CANCELLATION, Letter.CANCELLATION_HOTEL)
STATES = {
    Status.PENDING: "In progress",
    Status.CONFIRMED: "Confirmed",
    Status.FAILED: "Not booked",
    Status.CANCELLING: "Being cancelled",
    Status.CANCELLED: "Cancelled",
}


class Step(msgspec.Struct, frozen=True):
    """A line of the timeline; `at` is None for what is still to come."""

    text: str
    at: datetime | None = None
    note: str = ""


def steps(booking: Booking) -> list[Step]:
    """What happened, in order, and then what is awaited."""
    done = [_step(track) for track in booking.tracking]
    return done + [Step(text) for text in _awaited(booking)]


def _step(track: Track) -> Step:
    letter, note = _letter(track)
    words = TOLD_OF_CANCELLATION if letter in CANCELLATIONS else HAPPENED
    return Step(words[track.milestone] if track.milestone in words else HAPPENED[track.milestone], track.at, note)


def _letter(track: Track) -> tuple[Letter | None, str]:
    """Which letter a line tells of, and the rest of its note: `recap to ada@example.org`."""
    first, _, rest = track.note.partition(" ")
    known = track.milestone in TO_TELL and first in {letter.value for letter in Letter}
    return (Letter(first), rest) if known else (None, track.note)


def _awaited(booking: Booking) -> list[str]:
    reached = {track.milestone for track in booking.tracking}
    if booking.status in (Status.PENDING, Status.CONFIRMED):
        return [text for milestone, text in TO_COME.items() if milestone not in reached]
    if booking.status is Status.CANCELLING:
        return [f"To come: {HAPPENED[each].lower()}" for each in UNDONE if each not in reached]
    if booking.status is Status.CANCELLED:
        told = {track.milestone for track in booking.tracking if _letter(track)[0] in CANCELLATIONS}
        return [text for milestone, text in TO_TELL.items() if milestone not in told]
    return []


def settled(booking: Booking) -> bool:
    """Whether nothing more is awaited."""
    return not _awaited(booking)


def was_paid(booking: Booking) -> bool:
    """Whether money was taken, be it only for a moment."""
    return any(track.milestone is Milestone.PAID for track in booking.tracking)


def has_receipt(booking: Booking) -> bool:
    """Whether the receipt can be read."""
    return any(track.milestone is Milestone.RECEIPT_ISSUED for track in booking.tracking)


def announcement(booking: Booking) -> str:
    """The state of things in one sentence."""
    if not settled(booking):
        return f"{_awaited(booking)[0]} …"
    if booking.status in (Status.FAILED, Status.CANCELLED):
        return f"{HAPPENED[Milestone(booking.status.value)]}."
    return "Everything is done: the receipt is ready and the mails are sent."
