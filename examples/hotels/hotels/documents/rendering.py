"""What the receipt of a booking says."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path

from receipts import Line, Party, Receipt, Template, render

from hotels.contracts.reservations import Booking
from hotels.stays import reference

TEMPLATE = Path(__file__).with_name("receipt.toml")


@cache
def site_template() -> Template:
    """The site's template, read once."""
    return Template.load(TEMPLATE)


def render_receipt(booking: Booking, number: str, issued: date) -> bytes:
    """The receipt of a booking as PDF; takes some milliseconds of a core."""
    return render(_receipt(booking, number, issued), site_template())


def _receipt(booking: Booking, number: str, issued: date) -> Receipt:
    departure = booking.arrival + timedelta(days=booking.nights)
    guests = "1 guest" if booking.guests == 1 else f"{booking.guests} guests"
    what = f"{booking.room} for {guests}, {_day(booking.arrival)} to {_day(departure)}"
    return Receipt(
        number=number,
        issued=issued,
        seller=Party(booking.hotel, (booking.hotel_address, booking.city), booking.hotel_email),
        buyer=Party(booking.guest_name, email=booking.guest_email),
        lines=(Line(what, booking.nights, booking.price.amount / booking.nights),),
        currency=booking.price.currency,
        payment_reference=reference(booking.booking_id),
        payment_method=f"Card ending in {booking.card_last4}" if booking.card_last4 else "",
    )


def _day(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"
