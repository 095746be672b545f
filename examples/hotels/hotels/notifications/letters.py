"""How letters read: plain text and HTML from templates, with prices and dates as people write them."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from uuid import uuid5

from babel.dates import format_date
from babel.numbers import format_currency
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from hotels.contracts.money import Money
from hotels.contracts.notifications import Letter
from hotels.contracts.reservations import Booking
from hotels.notifications.composing import compose, line, pdf, person
from hotels.notifications.events import LetterDue
from hotels.notifications.mailer import Mail
from hotels.notifications.settings import NotificationsSettings
from hotels.stays import reference

TEMPLATES = Path(__file__).parent / "templates"
LOCALE = "en_GB"

SUBJECTS = {
    Letter.RECAP: "Your room in {booking.city} is booked: {booking.hotel}, {arrival}",
    Letter.RESERVATION: "New reservation: {booking.guest_name}, {arrival}, {nights}",
    Letter.CANCELLATION: "Your booking is cancelled: {booking.hotel}, {arrival}",
    Letter.CANCELLATION_HOTEL: "Reservation cancelled: {booking.guest_name}, {arrival}, {nights}",
}
TEXTS = ("txt", "html")
TO_THE_HOTEL = {Letter.RESERVATION, Letter.CANCELLATION_HOTEL}


class Stationery:
    """Writes letters. The same letter of the same booking always has the same Message-ID.

    So a letter that was handed over just before a crash, and again after it, is one mail to the programs that read it.
    """

    def __init__(self, settings: NotificationsSettings) -> None:
        self._settings = settings
        self._domain = settings.sender.rpartition("@")[2]
        self._from = person("From", settings.sender_name, settings.sender)
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(money=money, day=day, nights=nights, guests=guests)
        # Each letter would import it anew, which takes longer than to write it.
        self._templates.globals["ui"] = self._templates.get_template("facts.html").module

    def message_id(self, due: LetterDue) -> str:
        """The Message-ID of a letter (RFC 5322, section 3.6.4), short enough to stand on one line."""
        return f"<{uuid5(due.booking_id, due.letter.value).hex}@{self._domain}>"

    def write(self, due: LetterDue, written: datetime, receipt: bytes | None = None) -> Mail:
        """A letter, ready to be sent; `receipt` is the PDF that goes with it. Takes under a millisecond of a core."""
        booking = due.booking
        subject = SUBJECTS[due.letter].format(
            booking=booking, arrival=day(booking.arrival), nights=nights(booking.nights)
        )
        headers = {
            "From": self._from,
            "To": person("To", one_line(_addressee(due)), due.recipient),
            "Subject": line("Subject", one_line(subject)),
            "Date": format_datetime(written),
            "Message-ID": self.message_id(due),
            "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's out-of-office reply is wanted
            "Content-Language": "en",
        }
        values = {
            "booking": booking,
            "departure": booking.arrival + timedelta(days=booking.nights),
            "reference": reference(booking.booking_id),
            "receipt": due.receipt,
            "link": f"{self._settings.site_url.rstrip('/')}/bookings/{booking.booking_id}",
            "site": self._settings.sender_name,
        }
        text, html = (self._templates.get_template(f"{due.letter.value}.{kind}").render(values) for kind in TEXTS)
        attached = None if receipt is None else pdf(receipt, _file_name(due))
        content = compose(headers, text, html, attached)
        return Mail(sender=self._settings.sender, recipient=due.recipient, content=content)


def recipient(letter: Letter, booking: Booking) -> str:
    """Whom a letter goes to."""
    return booking.hotel_email if letter in TO_THE_HOTEL else booking.guest_email


def _addressee(due: LetterDue) -> str:
    return due.booking.hotel if due.letter in TO_THE_HOTEL else due.booking.guest_name


def _file_name(due: LetterDue) -> str:
    return f"receipt-{re.sub('[^0-9A-Za-z-]', '-', due.receipt)}.pdf"


@lru_cache(1024)
def money(value: Money) -> str:
    """`€1,290.00`."""
    return format_currency(value.amount, value.currency, locale=LOCALE)


@lru_cache(1024)
def day(value: date) -> str:
    """`Friday 4 June 2027`."""
    return format_date(value, "EEEE d MMMM y", locale=LOCALE)


def nights(count: int) -> str:
    """`1 night`, `3 nights`."""
    return "1 night" if count == 1 else f"{count} nights"


def guests(count: int) -> str:
    """`1 guest`, `2 guests`."""
    return "1 guest" if count == 1 else f"{count} guests"


def one_line(text: str) -> str:
    """The text without anything that could end a header's line; it may come from a guest."""
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    return " ".join(text.split())
