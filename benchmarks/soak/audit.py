"""What must be true of the hotel site after any trouble.

Pure functions over the evidence; each gives sentences about what is wrong, none when all is well. `CHECKS` names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

from benchmarks.soak.evidence import Booking, Evidence

FINAL: Final = {"confirmed", "failed", "cancelled"}
BOOKED: Final = {"confirmed", "cancelled"}  # those that were confirmed once
LETTERS: Final = {
    "confirmed": ("recap", "reservation"),
    "cancelled": ("recap", "reservation", "cancellation", "cancellation_hotel"),
}
ACTIVE: Final = {"held", "confirmed"}
_ALWAYS: Final = {"requested": 1, "held": 1, "paid": 1, "confirmed": 1, "receipt_issued": 1}
MILESTONES: Final = {
    "confirmed": {**_ALWAYS, "guest_told": 1, "hotel_told": 1},
    "cancelled": {**_ALWAYS, "guest_told": 2, "hotel_told": 2, "refunded": 1, "released": 1, "cancelled": 1},
}


def promises_broken(found: Evidence) -> list[str]:
    """What a guest was told of a booking is so."""
    status = {each.booking_id: each.status for each in found.bookings}
    return [
        f"booking {booking} was {told} to its guest, and is {status.get(booking, 'gone')}"
        for booking, told in found.promised.items()
        if status.get(booking) != told
    ]


def unfinished(found: Evidence) -> list[str]:
    """Every booking is complete or undone."""
    return [f"booking {each.booking_id} is still {each.status}" for each in found.bookings if each.status not in FINAL]


def money_astray(found: Evidence) -> list[str]:
    """The bank keeps the price of each confirmed booking and of no other, and the ledger says the same."""
    wanted = {each.booking_id: each.price for each in found.bookings if each.status == "confirmed"}
    wrong = []
    for booking in sorted({*wanted, *found.bank, *found.ledger}):
        due, kept, entered = (each.get(booking, Decimal(0)) for each in (wanted, found.bank, found.ledger))
        if not due == kept == entered:
            wrong.append(f"booking {booking}: {due} is due, the bank keeps {kept}, the ledger says {entered}")
    return wrong


def rooms_twice(found: Evidence) -> list[str]:
    """No night has more guests than rooms, and each confirmed booking has the one hold of it."""
    taken = _taken(found)
    wrong = [
        f"{count} have room {room} in the night of {night}, of which there are {found.rooms.get(room, 0)}"
        for (room, night), count in sorted(taken.items())
        if count > found.rooms.get(room, 0)
    ]
    confirmed = {each.hold_id for each in found.holds if each.state == "confirmed"}
    held = Counter(str(each.hold_id) for each in found.bookings if each.status == "confirmed")
    return [
        *wrong,
        *(f"{count} bookings share hold {hold}" for hold, count in sorted(held.items()) if count > 1),
        *(f"a confirmed booking's hold {hold} is not confirmed" for hold in sorted(held.keys() - confirmed)),
        *(f"hold {hold} is confirmed for no booking" for hold in sorted(confirmed - held.keys())),
    ]


def letters_astray(found: Evidence) -> list[str]:
    """Every letter has arrived, once: one recap for each booking."""
    wanted, counted = expected_letters(found.bookings), Counter(found.arrived)
    return [
        *(f"{wanted[each]} is lost" for each in sorted(wanted.keys() - counted.keys())),
        *(f"letter {each} belongs to no booking" for each in sorted(counted.keys() - wanted.keys())),
        *(f"{wanted.get(each, each)} came {count} times" for each, count in sorted(counted.items()) if count > 1),
    ]


def events_astray(found: Evidence) -> list[str]:
    """Each subscriber's inbox has every event that there was, once, and what it does for one was done once."""
    booked = [each.booking_id for each in found.bookings if each.status in BOOKED]
    return [*_inboxes_astray(found, len(booked)), *_effects_astray(found, booked)]


def left_over(found: Evidence) -> list[str]:
    """No event waits, none is dead, and every saga has ended."""
    return [f"{count} {what} are left" for what, count in sorted(found.waiting.items()) if count]


CHECKS: Final[Mapping[str, Callable[[Evidence], list[str]]]] = {
    "every acknowledged booking exists": promises_broken,
    "every booking is complete or undone": unfinished,
    "bank, ledger and bookings agree to the cent": money_astray,
    "no room twice": rooms_twice,
    "every letter once, one recap each": letters_astray,
    "every event once per subscriber": events_astray,
    "nothing waits, nothing is dead": left_over,
}


def expected_letters(bookings: Iterable[Booking]) -> dict[str, str]:
    """By Message-ID (without domain) every letter that must have been sent."""
    return {
        uuid5(UUID(each.booking_id), letter).hex: f"the {letter} of booking {each.booking_id}"
        for each in bookings
        for letter in LETTERS.get(each.status, ())
    }


def _inboxes_astray(found: Evidence, booked: int) -> list[str]:
    cancelled = sum(each.status == "cancelled" for each in found.bookings)
    ended = sum(each.state not in ACTIVE for each in found.holds)
    letters = len(expected_letters(found.bookings))
    expected = {
        ("documents", "reservations"): booked,  # BookingConfirmed
        ("notifications", "reservations"): booked + cancelled,  # BookingConfirmed, BookingCancelled
        ("notifications", "documents"): booked,  # ReceiptIssued
        ("notifications", "notifications"): letters,  # LetterDue
        ("reservations", "documents"): booked,  # ReceiptIssued
        ("reservations", "notifications"): letters,  # LetterSent
        ("search", "rooms"): found.hotels + len(found.holds) + ended,  # HotelListed, RoomHeld, RoomReleased
    }
    wrong = []
    for (subscriber, source), count in expected.items():
        events = found.heard.get((subscriber, source), [])
        if len(set(events)) != count:
            wrong.append(f"{subscriber} heard {len(set(events))} events of {source}, and there were {count}")
        twice = [event for event, times in Counter(events).items() if times > 1]
        wrong += [f"{subscriber} heard event {event} of {source} more than once" for event in sorted(twice)]
    strange = sorted(found.heard.keys() - expected.keys())
    wrong += [f"{subscriber} heard events of {source}, of which it hears none" for subscriber, source in strange]
    first, second = (set(found.heard.get((each, "documents"), ())) for each in ("notifications", "reservations"))
    return wrong + [
        f"event {each} of documents was heard by one of its two subscribers" for each in sorted(first ^ second)
    ]


def _effects_astray(found: Evidence, booked: list[str]) -> list[str]:
    wrong = [f"booking {each} has {found.receipts[each]} receipts" for each in booked if found.receipts[each] != 1]
    wrong += [f"booking {each} has a receipt, and was never confirmed" for each in found.receipts.keys() - set(booked)]
    for each in found.bookings:
        for milestone, times in MILESTONES.get(each.status, {}).items():
            seen = found.milestones[each.booking_id, milestone]
            if seen != times:
                wrong.append(
                    f"booking {each.booking_id}, {each.status}, was {milestone} {seen} times in place of {times}"
                )
    taken = _taken(found)
    for room, night in sorted({*taken, *found.occupancy}):
        believed, true = found.occupancy.get((room, night), 0), taken[room, night]
        if believed != true:
            wrong.append(f"search believes {believed} of room {room} taken in the night of {night}, and {true} are")
    return wrong


def _taken(found: Evidence) -> Counter[tuple[str, object]]:
    """How many of each room are taken in each night."""
    return Counter(
        (each.room_id, each.arrival + timedelta(days=night))
        for each in found.holds
        if each.state in ACTIVE
        for night in range((each.departure - each.arrival).days)
    )
