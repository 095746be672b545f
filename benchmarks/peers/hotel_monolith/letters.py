"""Letters from the site's own templates."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid5

import hotels
from babel.dates import format_date
from babel.numbers import format_currency
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from benchmarks.peers.hotel_monolith.tables import Booking

TEMPLATES = Path(hotels.__file__).parent / "notifications" / "templates"
SITE, SENDER = "Lamplight", "bookings@lamplight.example"


def day(value: datetime) -> str:
    return format_date(value, "EEEE d MMMM y", locale="en_GB")


def nights(count: int) -> str:
    return "1 night" if count == 1 else f"{count} nights"


def guests(count: int) -> str:
    return "1 guest" if count == 1 else f"{count} guests"


def money(value: SimpleNamespace) -> str:
    return format_currency(value.amount, value.currency, locale="en_GB")


class Letters:
    """Writes the letter to the guest (`recap`) and that to the hotel (`reservation`)."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(money=money, day=day, nights=nights, guests=guests)
        self._templates.globals["ui"] = self._templates.get_template("facts.html").module

    def write(self, kind: str, booking: Booking, now: datetime, number: str, pdf: bytes | None) -> EmailMessage:
        """A letter, ready to be sent."""
        to_guest = kind == "recap"
        letter = EmailMessage()
        letter["From"] = Address(SITE, addr_spec=SENDER)
        name, address = (booking.guest_name, booking.guest_email) if to_guest else (booking.hotel, booking.hotel_email)
        letter["To"] = Address(name, addr_spec=address)
        subject = f"Your room in {booking.city} is booked" if to_guest else f"New reservation: {booking.guest_name}"
        letter["Subject"] = f"{subject}, {day(booking.arrival)}"  # type: ignore[arg-type]
        letter["Date"] = format_datetime(now)
        letter["Message-ID"] = f"<{uuid5(booking.booking_id, kind).hex}@lamplight.example>"
        letter["Auto-Submitted"] = "auto-generated"
        letter["Content-Language"] = "en"
        values = {
            "booking": _shown(booking),
            "departure": booking.arrival + timedelta(days=booking.nights),
            "reference": booking.booking_id.hex[:8].upper(),
            "receipt": number,
            "link": f"http://127.0.0.1/bookings/{booking.booking_id}",
            "site": SITE,
        }
        letter.set_content(self._templates.get_template(f"{kind}.txt").render(values))
        letter.add_alternative(self._templates.get_template(f"{kind}.html").render(values), subtype="html")
        if pdf is not None:
            letter.add_attachment(pdf, maintype="application", subtype="pdf", filename=f"receipt-{number}.pdf")
        return letter


def _shown(booking: Booking) -> SimpleNamespace:
    fields = {column.key: getattr(booking, column.key) for column in booking.__table__.columns}
    return SimpleNamespace(**fields, price=SimpleNamespace(amount=booking.amount, currency=booking.currency))
