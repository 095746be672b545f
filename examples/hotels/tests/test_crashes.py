"""`kill -9` at every point of a booking: after the restart all of it has happened, once, or nothing is left of it.

Each point costs a start of the site, so a day has some of them, and `make faults` has all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hotels.contracts.payments import EntryKind
from served import DYING
from sites import DECLINED, Site, eventually, guest, milestones

from tests.suites.sampled import sampled

DIES_IN = {"DIES_IN": "hotels.documents.rendering:render_receipt"}
BOOKED = ["requested", "held", "paid", "confirmed"]
TOLD = ["guest_told", "hotel_told", "receipt_issued"]
CANCELLED = ["cancelled", "refunded", "released"]

OPENING = [
    "before Reservations.book",
    "before Rooms.room",
    "after Rooms.room",
    "before Users.enroll",
    "sql users INSERT INTO users",
    "after Users.enroll",
    "before Payments.tokenize",
    "after Payments.tokenize",
    "sql reservations INSERT INTO bookings",
    "began make_booking",
    "local ReservationsService._open",
    "before Rooms.hold",
    "sql rooms INSERT INTO holds",
    "after Rooms.hold",
    "call Rooms.hold",
    "local ReservationsService._note",
    "before Payments.charge",
]
PAYING = [
    "sql payments INSERT INTO payments",
    "after Payments.charge",
    "call Payments.charge",
    "2 local ReservationsService._note",
    "before Rooms.confirm",
]
CLOSING = [
    "sql rooms UPDATE holds",
    "after Rooms.confirm",
    "call Rooms.confirm",
    "sql reservations UPDATE bookings SET status",
    "local ReservationsService._confirm",
    "published hotels.reservations.v1.BookingConfirmed",
    "ended make_booking",
    "after Reservations.book",
    "in render_receipt",
    "sql documents INSERT INTO receipts",
    "published hotels.documents.v1.ReceiptIssued",
    "delivered hotels.reservations.v1.BookingConfirmed to documents",
    "delivered hotels.reservations.v1.BookingConfirmed to notifications",
    "delivered hotels.documents.v1.ReceiptIssued to notifications",
    "delivered hotels.documents.v1.ReceiptIssued to reservations",
    "delivered hotels.rooms.v1.RoomHeld to search",
    "sql notifications INSERT INTO letters",
    "2 sql notifications INSERT INTO letters",
    "delivered hotels.notifications.v1.LetterDue to notifications",
    "2 delivered hotels.notifications.v1.LetterDue to notifications",
    "delivered hotels.notifications.v1.LetterSent to reservations",
    "2 delivered hotels.notifications.v1.LetterSent to reservations",
]
DECLINING = [
    "after Payments.charge",
    "call Payments.charge",
    "local ReservationsService._explain",
    "before Rooms.release",
    "sql rooms UPDATE holds",
    "after Rooms.release",
    "undo Rooms.release",
    "sql reservations UPDATE bookings SET status",
    "undo ReservationsService._give_up",
    "published hotels.reservations.v1.BookingFailed",
    "ended make_booking",
    "after Reservations.book",
    "delivered hotels.rooms.v1.RoomReleased to search",
]
REFUNDING = [
    "after Rooms.confirm",
    "call Rooms.confirm",
    "local ReservationsService._explain",
    "before Payments.refund",
    "sql payments INSERT INTO refunds",
    "after Payments.refund",
    "undo Payments.refund",
    "before Rooms.release",
    "undo Rooms.release",
    "undo ReservationsService._give_up",
]
CANCELLING = [
    "before Reservations.cancel",
    "sql reservations UPDATE bookings SET status",
    "began cancel_booking",
    "local ReservationsService._begin_to_cancel",
    "before Payments.refund",
    "sql payments INSERT INTO refunds",
    "after Payments.refund",
    "call Payments.refund",
    "before Rooms.release",
    "sql rooms UPDATE holds",
    "after Rooms.release",
    "call Rooms.release",
    "2 sql reservations UPDATE bookings SET status",
    "local ReservationsService._cancelled",
    "published hotels.reservations.v1.BookingCancelled",
    "ended cancel_booking",
    "after Reservations.cancel",
    "delivered hotels.reservations.v1.BookingCancelled to notifications",
    "sql notifications INSERT INTO letters",
    "2 sql notifications INSERT INTO letters",
    "2 delivered hotels.notifications.v1.LetterSent to reservations",
]


class Mortal:
    """A site that dies where it is told to, and starts again in the same folder (`dying.py`)."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._home = home
        self._environment = environment
        self.site = self._start()
        self.numbers = count(1)
        self._rooms: Iterator[dict[str, Any]] | None = None

    def _start(self) -> Site:
        cheap = {"HOTELS_USERS_TIME_COST": "1", "HOTELS_USERS_MEMORY_KIB": "8"}
        return Site(self._home, command=(DYING,), **DIES_IN, **cheap, **self._environment)

    def living(self) -> Site:
        """The site, started again should an earlier test have left it dead."""
        if not self.site.runs:
            self.site.await_end()
            self.site = self._start()
        return self.site.started()

    def untouched_room(self) -> dict[str, Any]:
        """A kind of room that no other test gets."""
        self._rooms = self._rooms or iter(self.living().rooms())
        return next(self._rooms)

    def dies(self, point: str, request: Callable[[], httpx.Response]) -> None:
        """Have it die at a point that a request leads to, and wait until it has started again."""
        self.site.dies(point, request)


class Story:
    """A guest who wants a room, and what everybody knows of it afterwards."""

    def __init__(self, mortal: Mortal, title: str, **request: Any) -> None:
        self._mortal = mortal
        self.key = title
        self.guest = guest(f"Guest {next(mortal.numbers):04}")
        self.offer = mortal.untouched_room()
        self.request = {"guest": self.guest, **request}

    @property
    def site(self) -> Site:
        return self._mortal.site

    def book(self) -> httpx.Response:
        return self.site.book(self.offer["room_id"], self.key, **self.request)

    def cancel(self) -> httpx.Response:
        (booking,) = self.bookings()
        return self.site.cancel(booking["booking_id"], f"cancel {self.key}", self.site.signed_in(self.guest))

    def bookings(self) -> list[dict[str, Any]]:
        """The guest's bookings; somebody without an account has none."""
        if self.site.sign_in(self.guest).status_code == 401:
            return []
        return self.site.bookings(self.site.signed_in(self.guest))

    def at_rest(self) -> list[dict[str, Any]]:
        """The guest's bookings when nothing is left to do for anybody."""
        eventually(self.site.owed, lambda owed: not owed)
        return self.bookings()

    def money(self) -> tuple[Decimal, Decimal, int]:
        """What the bank says it took, what the ledger says, and how many lines that needs."""
        (booking,) = self.bookings()
        charges, lines = self.site.charges(booking["booking_id"]), self.site.ledger(booking["booking_id"])
        signs = {EntryKind.CHARGE: 1, EntryKind.REFUND: -1}
        entered = sum((line.amount.amount * signs[line.kind] for line in lines), Decimal(0))
        known = {each["id"] for each in charges} | {refund["id"] for each in charges for refund in each["refunds"]}
        assert known == {line.bank_reference for line in lines}
        return sum((Decimal(each["net"]) for each in charges), Decimal(0)), entered, len(lines)

    def letters(self) -> tuple[int, int]:
        """How many mails the guest and the hotel have got."""
        (booking,) = self.bookings()
        to_hotel = self.site.mails(booking["hotel_email"])
        return len(self.site.mails(self.guest["email"])), sum(
            self.guest["name"] in each["subject"] for each in to_hotel
        )

    def taken(self) -> tuple[int, int]:
        """How many rooms of this kind fewer are free than before, as search says, and as rooms says."""
        found = self.site.free(self.offer["room_id"], self.offer["city"])
        return self.offer["free"] - found, self.site.holds(self.offer["room_id"])

    def is_complete(self) -> None:
        (booking,) = self.bookings()
        assert booking["status"] == "confirmed"
        assert milestones(booking)[:4] == BOOKED
        assert sorted(milestones(booking)[4:]) == TOLD
        price = Decimal(booking["price"]["amount"])
        assert self.money() == (price, price, 1)
        assert self.letters() == (1, 1)
        assert self.taken() == (1, 1)

    def is_undone(self, lines: int, milestones_: list[str]) -> None:
        (booking,) = self.bookings()
        assert booking["status"] == "failed"
        assert milestones(booking) == milestones_
        assert self.money() == (0, 0, lines)
        assert self.letters() == (0, 0)
        assert self.taken() == (0, 0)


@pytest.fixture(scope="module")
def mortal(new_home: Callable[[], Path]) -> Iterator[Mortal]:
    mortal = Mortal(new_home())
    yield mortal
    mortal.site.stop()


@pytest.fixture(scope="module")
def forgetful(new_home: Callable[[], Path]) -> Iterator[Mortal]:
    """A site that keeps no room until it is paid for: every booking is undone after the money was taken."""
    mortal = Mortal(new_home(), HOTELS_ROOMS_HOLD_MINUTES="0")
    yield mortal
    mortal.site.stop()


@pytest.mark.parametrize("point", sampled([*OPENING, *PAYING, *CLOSING], 10, "killed while a room is booked"))
def test_a_booking_is_completed_once_wherever_the_site_is_killed(mortal: Mortal, point: str):
    story = Story(mortal, f"complete {point}")
    mortal.dies(point, story.book)
    left = [] if point in OPENING[: OPENING.index("began make_booking")] else ["confirmed"]
    assert [each["status"] for each in story.at_rest()] == left  # by itself, before the client asks again
    answer = story.book()
    assert answer.status_code == 201, answer.text
    (booking,) = story.at_rest()
    assert answer.json()["booking_id"] == booking["booking_id"]
    story.is_complete()


@pytest.mark.parametrize("point", sampled(DECLINING, 3, "killed while a card is declined"))
def test_a_declined_booking_is_undone_wherever_the_site_is_killed(mortal: Mortal, point: str):
    story = Story(mortal, f"declined {point}", card=DECLINED)
    mortal.dies(point, story.book)
    assert [each["status"] for each in story.at_rest()] == ["failed"]
    answer = story.book()
    assert (answer.status_code, answer.json()["fault"]) == (402, "CardDeclined")
    story.at_rest()
    story.is_undone(0, ["requested", "held", "released", "failed"])


@pytest.mark.parametrize("point", sampled(REFUNDING, 3, "killed while a room is lost"))
def test_a_booking_that_lost_its_room_is_refunded_wherever_the_site_is_killed(forgetful: Mortal, point: str):
    story = Story(forgetful, f"refunded {point}")
    forgetful.dies(point, story.book)
    assert [each["status"] for each in story.at_rest()] == ["failed"]
    answer = story.book()
    assert (answer.status_code, answer.json()["fault"]) == (409, "RoomTaken")
    story.at_rest()
    story.is_undone(2, ["requested", "held", "paid", "refunded", "released", "failed"])


@pytest.mark.parametrize("point", sampled(CANCELLING, 4, "killed while a booking is cancelled"))
def test_a_cancellation_gives_everything_back_wherever_the_site_is_killed(mortal: Mortal, point: str):
    story = Story(mortal, f"cancelled {point}")
    assert story.book().status_code == 201
    story.at_rest()
    mortal.dies(point, story.cancel)
    left = "confirmed" if point in CANCELLING[: CANCELLING.index("began cancel_booking")] else "cancelled"
    assert [each["status"] for each in story.at_rest()] == [left]
    answer = story.cancel()
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text
    (booking,) = story.at_rest()
    assert booking["status"] == "cancelled"
    told_again = ["guest_told", "hotel_told"]
    assert sorted(milestones(booking)) == sorted([*BOOKED, *TOLD, *CANCELLED, *told_again])
    assert story.money() == (0, 0, 2)
    assert story.letters() == (2, 2)
    assert story.taken() == (0, 0)
